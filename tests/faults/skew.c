/* Loaded before the C library, it makes the wall clock of a process wrong and leaves the monotonic one
 * alone: SKEW_S seconds ahead (or behind), and SKEW_PPM parts per million too fast.
 *
 * libfaketime would do, but it changes gettimeofday too, with which librdkafka computes deadlines that it
 * then waits for on C11 condition variables, whose clock libfaketime does not change: such a process hangs
 * for as long as its clock is ahead. So only what Rust's SystemTime calls is changed. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NANOS 1000000000LL

static long long setting(const char *name) {
    const char *text = getenv(name);
    return text ? atoll(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    static long long first;
    long result = syscall(SYS_clock_gettime, clock, out);
    if (result != 0 || clock != CLOCK_REALTIME) {
        return (int)result;
    }
    long long now = (long long)out->tv_sec * NANOS + out->tv_nsec;
    if (first == 0) {
        first = now;
    }
    now += setting("SKEW_S") * NANOS + (now - first) / 1000000 * setting("SKEW_PPM");
    out->tv_sec = (time_t)(now / NANOS);
    out->tv_nsec = (long)(now % NANOS);
    return 0;
}
