/* A PHP extension with native code of a pool's user. It is loaded into the zygote of that pool. Signal 43 makes the process do what
 * the file DIRECTORY/mode says. */
#include "php.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char mode[64];

static int is(const char *name) {
    return !strcmp(mode, name);
}

/* The pipe of messages to the supervisor: it keeps message boundaries. */
static int report_pipe(void) {
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags != -1 && (flags & O_DIRECT) && (flags & O_ACCMODE) == O_WRONLY) return fd;
    }
    return -1;
}

/* The socket that brings orders. */
static int order_socket(void) {
    for (int fd = 3; fd < 1024; fd++) {
        int type = 0, pid = 0;
        socklen_t size = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_SEQPACKET) continue;
        struct ucred peer;
        size = sizeof peer;
        if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid == getppid()) return fd;
    }
    return -1;
}

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Messages with descriptors, in both directions of all channels. */
static void pass_descriptors(int to) {
    int fds[64];
    for (int i = 0; i < 64; i++) fds[i] = open("/dev/null", O_RDONLY);
    char control[CMSG_SPACE(sizeof fds)];
    struct iovec data = {"\"Stays\"", 7};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(head), fds, sizeof fds);
    for (long end = now() + 400; now() < end; usleep(100)) sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; i < 64; i++) close(fds[i]);
}

static void bomb(void) {
    /* Few enough to leave CPU to others, although each wants all of it: they have the lowest priority. */
    struct rlimit most = {16, 16};
    setrlimit(RLIMIT_NPROC, &most);
    for (long end = now() + 500; now() < end;)
        if (fork() < 0) usleep(10000);
    _exit(0);
}

/* In a base zygote: answers the next order with the pid in DIRECTORY/lie, once that is there. */
static void lie(int reports, int orders) {
    char order[65536], text[128] = "", *request = NULL;
    while (!request) {
        ssize_t length = recv(orders, order, sizeof order - 1, MSG_DONTWAIT);
        order[length < 0 ? 0 : length] = 0;
        request = strstr(order, "\"request\":");
        usleep(1000);
    }
    int file;
    while ((file = open(DIRECTORY "/lie", O_RDONLY)) < 0) usleep(1000);
    read(file, text, sizeof text - 1);
    close(file);
    char answer[256];
    snprintf(answer, sizeof answer, "{\"Forked\":{\"request\":%d,\"pid\":%d}}", atoi(request + 10), atoi(text));
    write(reports, answer, strlen(answer));
}

static void act(int signal) {
    int file = open(DIRECTORY "/mode", O_RDONLY);
    ssize_t length = read(file, mode, sizeof mode - 1);
    close(file);
    mode[length < 0 ? 0 : length] = 0;
    int reports = report_pipe(), orders = order_socket();
    char bytes[8192];
    memset(bytes, 'x', sizeof bytes);
    if (is("lie")) lie(reports, orders);
    if (is("hang")) for (;;) pause();
    if (is("spin")) {
        /* The kernel shares the CPU among users; this is about the supervisor. */
        struct sched_param lowest = {0};
        sched_setscheduler(0, SCHED_IDLE, &lowest);
        for (;;) getppid();
    }
    if (is("garbage")) write(reports, "\0\377{]", 4);
    /* More than a message may have: the kernel makes several packets of it. */
    if (is("oversized")) write(reports, bytes, sizeof bytes);
    if (is("flood"))
        for (long end = now() + 400; now() < end;) {
            char *text = "{\"Said\":{\"level\":\"Error\",\"text\":\"flood\"}}";
            if (write(reports, text, strlen(text)) < 0) usleep(500);
        }
    if (is("descriptors")) pass_descriptors(orders);
    if (is("close")) close(reports);
    if (is("close-all")) for (int fd = 3; fd < 1024; fd++) close(fd);
    if (is("exit")) _exit(7);
    if (is("stop")) raise(SIGSTOP);
    if (is("bomb") && !fork()) bomb();
}

static PHP_MINIT_FUNCTION(hostile) {
    struct sigaction action = {.sa_handler = act};
    sigaction(43, &action, NULL);
    return SUCCESS;
}

zend_module_entry hostile_module_entry = {
    STANDARD_MODULE_HEADER, "hostile", NULL, PHP_MINIT(hostile), NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES};
ZEND_GET_MODULE(hostile)
