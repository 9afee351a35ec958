/* An open-loop load generator: requests leave at a constant rate whatever the answers do.
 *
 * A latency counts from the moment at which the request was due, not from the moment at which it was sent: a server
 * that stalls is charged for every request that had to wait ("coordinated omission", G. Tene). One thread, epoll, a
 * fixed number of keep-alive connections; a request that is due while all of them wait queues behind them.
 *
 * openloop PORT RATE CONNECTIONS WARM_UP_S SECONDS REQUEST_FILE
 * prints {"sent", "answered", "failed", "p50_ms", "p99_ms", "p999_ms"}. Failed: not answered with 200, or not at all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_BYTES = 1 << 20, HEAD_BYTES = 16 * 1024, TAIL_NS = 2000000000 };

struct connection {
    int fd;
    long due_of;       /* index of the request under way, -1: free */
    size_t sent;
    char head[HEAD_BYTES];
    size_t head_bytes;
    long body_left;    /* -1: still in the head */
    int status;
};

static char *request;
static size_t request_bytes;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    request_bytes = ftell(file);
    rewind(file);
    request = malloc(request_bytes);
    if (!request || fread(request, 1, request_bytes, file) != request_bytes) fail(path);
    fclose(file);
}

static int open_connection(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Requests fit the socket's buffer in these benchmarks; a longer one blocks, which would show as latency. */
static void send_request(struct connection *c, long index) {
    c->due_of = index;
    c->head_bytes = 0;
    c->body_left = -1;
    for (size_t sent = 0; sent < request_bytes;) {
        ssize_t n = send(c->fd, request + sent, request_bytes - sent, MSG_NOSIGNAL);
        if (n < 0) fail("send");
        sent += n;
    }
}

/* 1 when the answer is complete, 0 when more must come. */
static int take(struct connection *c, const char *data, size_t size) {
    if (c->body_left >= 0) {
        c->body_left -= size;
        return c->body_left <= 0;
    }
    if (c->head_bytes + size >= HEAD_BYTES) size = HEAD_BYTES - 1 - c->head_bytes;
    memcpy(c->head + c->head_bytes, data, size);
    c->head_bytes += size;
    c->head[c->head_bytes] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return 0;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->status = atoi(c->head + 9);
    c->body_left = (length ? atol(length + 17) : 0) - (long)(c->head_bytes - (end + 4 - c->head));
    return c->body_left <= 0;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(const int64_t *sorted, long n, double q) {
    if (n == 0) return 0;
    long index = (long)(q * n);
    return sorted[index < n ? index : n - 1] / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: openloop PORT RATE CONNECTIONS WARM_UP_S SECONDS REQUEST_FILE\n");
        return 2;
    }
    int port = atoi(argv[1]), connections = atoi(argv[3]);
    double rate = atof(argv[2]), warm_up_s = atof(argv[4]), seconds = atof(argv[5]);
    read_request(argv[6]);
    long total = (long)(rate * (warm_up_s + seconds)), first = (long)(rate * warm_up_s);
    int64_t *latency = malloc(sizeof *latency * (total + 1));
    struct connection *all = calloc(connections, sizeof *all);
    struct connection **idle = malloc(sizeof *idle * connections);
    static char buffer[ANSWER_BYTES];
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0), free_ones = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    for (int i = 0; i < connections; i++) {
        all[i].fd = open_connection(port);
        all[i].due_of = -1;
        event.data.ptr = &all[i];
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event);
        idle[free_ones++] = &all[i];
    }
    int64_t began = now_ns() + 1000000, end = began + (int64_t)((warm_up_s + seconds) * 1e9) + TAIL_NS;
    long next = 0, answered = 0, measured = 0, failed = 0;
    while (answered < total && now_ns() < end) {
        int64_t now = now_ns();
        while (next < total && free_ones && began + (int64_t)(next * 1e9 / rate) <= now) send_request(idle[--free_ones], next++);
        if (next < total && free_ones) {
            int64_t due = began + (int64_t)(next * 1e9 / rate);
            struct itimerspec at = {.it_value = {due / 1000000000, due % 1000000000}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        }
        int ready = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                uint64_t ticks;
                if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) fail("timer");
                continue;
            }
            ssize_t size = recv(c->fd, buffer, sizeof buffer, 0);
            if (size <= 0) {
                fprintf(stderr, "openloop: the server closed a connection\n");
                return 1;
            }
            if (c->due_of < 0 || !take(c, buffer, size)) continue;
            if (c->due_of >= first) {
                if (c->status == 200) latency[measured++] = now_ns() - (began + (int64_t)(c->due_of * 1e9 / rate));
                else failed++;
            }
            answered++;
            c->due_of = -1;
            idle[free_ones++] = c;
        }
    }
    qsort(latency, measured, sizeof *latency, by_value);
    printf("{\"sent\": %ld, \"answered\": %ld, \"failed\": %ld, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f}\n",
           next - first, measured, failed + (total - first - measured - failed), quantile_ms(latency, measured, .5),
           quantile_ms(latency, measured, .99), quantile_ms(latency, measured, .999));
    return 0;
}
