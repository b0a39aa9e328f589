//! A small schema registry. (Signatures first; filled in below.)
