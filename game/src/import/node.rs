//! A YAML or JSON text as a tree in which every node knows its place.

use super::{DEPTH_MAX, Mark, VALUES_MAX};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) value: Value,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    /// A text, number or word. `quoted` when it can only be a text.
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    /// Pairs in their order; a key may be there twice.
    Map(Vec<(Key, Node)>),
    /// A YAML alias. Never followed: a small text may stand for a huge one.
    Alias,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Key {
    pub(super) mark: Mark,
    pub(super) text: String,
}

/// A text that ends in the middle: what is wrong, where, and what was read before.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Option<Node>,
    pub(super) error: Option<(Mark, String)>,
}

enum Frame {
    List(Mark, Vec<Node>),
    Map(Mark, Vec<(Key, Node)>, Option<Key>),
}

impl Frame {
    fn close(self) -> Node {
        match self {
            // Small lists must not keep the room that they were given to grow.
            Frame::List(mark, mut items) => {
                items.shrink_to_fit();
                Node { mark, value: Value::List(items) }
            }
            Frame::Map(mark, mut pairs, _) => {
                pairs.shrink_to_fit();
                Node { mark, value: Value::Map(pairs) }
            }
        }
    }
}

/// Builds a tree from its parts in their order. Not recursive, so that no text overflows the stack.
#[derive(Default)]
pub(super) struct Builder {
    stack: Vec<Frame>,
    root: Option<Node>,
    values: usize,
}

impl Builder {
    /// Counts a value or a key.
    fn count(&mut self) -> Result<(), String> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(format!("the text has more than {VALUES_MAX} values: split it"));
        }
        Ok(())
    }

    pub(super) fn open_list(&mut self, mark: Mark) -> Result<(), String> {
        self.open(Frame::List(mark, Vec::new()))
    }

    pub(super) fn open_map(&mut self, mark: Mark) -> Result<(), String> {
        self.open(Frame::Map(mark, Vec::new(), None))
    }

    fn open(&mut self, frame: Frame) -> Result<(), String> {
        if self.stack.len() == DEPTH_MAX {
            return Err(format!("the text nests more than {DEPTH_MAX} deep"));
        }
        if self.awaits_key() {
            return Err("a key must be a text".to_owned());
        }
        self.count()?;
        self.stack.push(frame);
        Ok(())
    }

    /// Whether the next scalar is a key.
    pub(super) fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Map(_, _, None)))
    }

    pub(super) fn is_complete(&self) -> bool {
        self.stack.is_empty() && self.root.is_some()
    }

    pub(super) fn close(&mut self) {
        if let Some(frame) = self.stack.pop() {
            self.add(frame.close());
        }
    }

    pub(super) fn scalar(&mut self, mark: Mark, text: String, quoted: bool) -> Result<(), String> {
        self.count()?;
        if let Some(Frame::Map(_, _, key @ None)) = self.stack.last_mut() {
            *key = Some(Key { mark, text });
            return Ok(());
        }
        self.add(Node { mark, value: Value::Scalar { text, quoted } });
        Ok(())
    }

    pub(super) fn alias(&mut self, mark: Mark) -> Result<(), String> {
        if self.awaits_key() {
            return Err("a key must be a text".to_owned());
        }
        self.count()?;
        self.add(Node { mark, value: Value::Alias });
        Ok(())
    }

    fn add(&mut self, node: Node) {
        match self.stack.last_mut() {
            Some(Frame::List(_, items)) => items.push(node),
            Some(Frame::Map(_, pairs, key)) => {
                if let Some(key) = key.take() {
                    pairs.push((key, node));
                }
            }
            None => self.root = Some(node),
        }
    }

    /// The tree; with an error, what was complete before it: the question in which the text breaks
    /// off is not.
    pub(super) fn finish(mut self, error: Option<(Mark, String)>) -> Parsed {
        // Root, list of questions, question.
        let is_map = matches!(self.stack.first(), Some(Frame::Map(..)));
        self.stack.truncate(if is_map { 2 } else { 1 });
        while !self.stack.is_empty() {
            self.close();
        }
        Parsed { root: self.root, error }
    }
}
