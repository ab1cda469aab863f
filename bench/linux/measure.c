/*
 * Measures Linux beside Motte. This is the machine's first and only process: it loads the disk's modules, measures what its
 * arguments name (ipc, kernel, proc, file, disk; or serves what net.c does), prints a line for each result as xtask/src/bench/protocol.rs describes them,
 * and turns the machine off.
 *
 * Times are read from the time-stamp counter. Under QEMU's `-icount shift=0` one tick of it is one executed instruction; without,
 * the ticks are time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MIB = 1 << 20 };
/* The machine's memory. */
enum { MEMORY = 512 * MIB };
/* Runs that are not counted: caches fill, pages are touched for the first time. */
enum { WARM_UP = 50 };

/* Marks of the counting plugin, as inside Motte. */
enum { READ_BEGIN = 0x10, READ_END = 0x11, WRITE_BEGIN = 0x12, WRITE_END = 0x13 };
#define MARK(id) __asm__ volatile(".byte 0x0f, 0x1f, 0x80\n\t.long %c0" ::"i"(0x4d520000 | (id)) : "memory")

static inline uint64_t now(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

static void skip(const char *name, const char *what)
{
	printf("skip %s %s: %s\n", name, what, strerror(errno));
}

static void must(int succeeds, const char *what)
{
	if (!succeeds) {
		printf("failed: %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

/* ---- figures ------------------------------------------------------------------------------------------------ */

static uint64_t samples[4096];
static size_t sample_count;
/* What two readings of the counter cost by themselves. */
static uint64_t empty;

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

static void sample(uint64_t ticks)
{
	samples[sample_count++] = ticks > empty ? ticks - empty : 0;
}

static void calibrate(void)
{
	empty = UINT64_MAX;
	for (int round = 0; round < WARM_UP; round++) {
		uint64_t begin = now();
		uint64_t end = now();
		if (end - begin < empty)
			empty = end - begin;
	}
}

static void report(const char *name)
{
	qsort(samples, sample_count, sizeof *samples, compare);
	printf("result %s instructions %zu %lu %lu %lu\n", name, sample_count, samples[0], samples[sample_count / 2],
	       samples[sample_count - 1]);
	sample_count = 0;
}

/* Executes the last argument so often, and reports what each time cost. */
#define MEASURE(name, times, ...)                                        \
	do {                                                             \
		for (int round = -WARM_UP; round < (times); round++) {   \
			uint64_t begin = now();                          \
			__VA_ARGS__;                                     \
			uint64_t end = now();                            \
			if (round >= 0)                                  \
				sample(end - begin);                     \
		}                                                        \
		report(name);                                            \
	} while (0)

/* ---- messages and signals -------------------------------------------------------------------------------------- */

static char buffer[PAGE];

static void send_all(int file, size_t size)
{
	must(write(file, buffer, size) == (ssize_t)size, "write");
}

static void receive_all(int file, size_t size)
{
	must(read(file, buffer, size) == (ssize_t)size, "read");
}

/* A question through one pair of descriptors, the answer through another. */
static void ping_pong(const char *name, int to[2], int from[2], size_t size)
{
	pid_t server = fork();
	if (server == 0)
		for (;;) {
			receive_all(to[0], size);
			send_all(from[1], size);
		}
	MEASURE(name, 1000, {
		send_all(to[1], size);
		receive_all(from[0], size);
	});
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static void pipes(const char *name, size_t size)
{
	int to[2], from[2];
	must(pipe(to) == 0 && pipe(from) == 0, "pipe");
	ping_pong(name, to, from, size);
	close(to[0]), close(to[1]), close(from[0]), close(from[1]);
}

static void events(void)
{
	int to = eventfd(0, 0), from = eventfd(0, 0);
	must(to >= 0 && from >= 0, "eventfd");
	*(uint64_t *)buffer = 1;
	ping_pong("eventfd", (int[]){to, to}, (int[]){from, from}, sizeof(uint64_t));
	close(to), close(from);
}

static void futex(uint32_t *word, int operation, uint32_t value)
{
	syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void pass(uint32_t *turn, uint32_t to)
{
	__atomic_store_n(turn, to, __ATOMIC_RELEASE);
	futex(turn, FUTEX_WAKE, 1);
	while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) == to)
		futex(turn, FUTEX_WAIT, to);
}

/* Two processes that share a page take turns. */
static void futexes(void)
{
	uint32_t *turn = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(turn != MAP_FAILED, "mmap");
	pid_t server = fork();
	if (server == 0) {
		while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) == 0)
			futex(turn, FUTEX_WAIT, 0);
		for (;;)
			pass(turn, 0);
	}
	MEASURE("futex", 1000, pass(turn, 1));
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	munmap(turn, PAGE);
}

/* A descriptor goes to another process, which answers with a byte. It keeps what it got: closing is not counted. */
static void descriptors(void)
{
	enum { TIMES = 500 };
	struct rlimit limit = {.rlim_cur = 2 * TIMES, .rlim_max = 4096};
	int ends[2];
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0, "socketpair");
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte = 0;
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};
	pid_t server = fork();
	if (server == 0)
		for (;;) {
			message.msg_controllen = sizeof control;
			must(recvmsg(ends[1], &message, 0) == 1 && message.msg_controllen > 0, "recvmsg");
			must(send(ends[1], &byte, 1, 0) == 1, "send");
		}
	MEASURE("scm_rights", TIMES, {
		message.msg_controllen = sizeof control;
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &ends[0], sizeof(int));
		must(sendmsg(ends[0], &message, 0) == 1, "sendmsg");
		must(recv(ends[0], &byte, 1, 0) == 1, "recv");
	});
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	close(ends[0]), close(ends[1]);
}

static void ipc(void)
{
	pipes("pipe/8", 8);
	pipes("pipe/64", 64);
	futexes();
	events();
	descriptors();
}

/* ---- the kernel's other work ----------------------------------------------------------------------------------- */

static void *thread(void *argument)
{
	return argument;
}

static void kernel(void)
{
	MEASURE("null_call", 1000, syscall(SYS_getppid));
	MEASURE("yield", 1000, sched_yield());
	pid_t other = fork();
	if (other == 0)
		for (;;)
			sched_yield();
	MEASURE("yield_two", 1000, sched_yield());
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);

	enum { PAGES = 1000 };
	size_t size = (PAGES + WARM_UP) * (size_t)PAGE;
	volatile char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(page != MAP_FAILED, "mmap");
	madvise((void *)page, size, MADV_NOHUGEPAGE);
	MEASURE("page_fault", PAGES, {
		*page = 1;
		page += PAGE;
	});
	munmap((char *)page - size, size);

	MEASURE("thread", 200, {
		pthread_t id;
		must(pthread_create(&id, NULL, thread, NULL) == 0, "pthread_create");
		pthread_join(id, NULL);
	});
}

/* Starts a program as a shell does, and waits for its end. */
static void run_nothing(void)
{
	static char *const arguments[] = {"nothing", NULL};
	static char *const environment[] = {NULL};
	pid_t child = vfork();
	if (child == 0) {
		execve("/nothing", arguments, environment);
		_exit(1);
	}
	int status;
	must(waitpid(child, &status, 0) == child && status == 0, "vfork, exec, wait");
}

static void proc(void)
{
	MEASURE("spawn", 100, run_nothing());
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static char piece[128 << 10];

static int open_file(const char *path, int flags)
{
	int file = open(path, flags, 0600);
	must(file >= 0, path);
	return file;
}

static void file(void)
{
	const char *path = "/mnt/page";
	int file = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
	send_all(file, PAGE);
	fsync(file);
	close(file);
	MEASURE("open_read_close", 1000, {
		file = open_file(path, O_RDONLY);
		receive_all(file, PAGE);
		close(file);
	});
	unlink(path);
}

/* Writes what is not written yet, forgets what is in memory. */
static void forget(void)
{
	sync();
	int file = open_file("/proc/sys/vm/drop_caches", O_WRONLY);
	must(write(file, "3", 1) == 1, "drop_caches");
	close(file);
}

static void disk(void)
{
	enum { TIMES = 3, LENGTH = 64 /* MiB */, PIECES = LENGTH * (MIB / sizeof piece) };
	const char *path = "/mnt/large";
	for (size_t at = 0; at < sizeof piece; at++)
		piece[at] = (char)(at * 2654435761u >> 13);
	for (int round = 0; round < TIMES; round++) {
		unlink(path);
		forget();
		int file = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
		MARK(WRITE_BEGIN);
		for (size_t count = 0; count < PIECES; count++)
			must(write(file, piece, sizeof piece) == sizeof piece, "write");
		must(fsync(file) == 0, "fsync");
		MARK(WRITE_END);
		close(file);
	}
	printf("marked write_per_mib %d %d %d %d\n", WRITE_BEGIN, WRITE_END, LENGTH, TIMES);
	for (int round = 0; round < TIMES; round++) {
		forget();
		int file = open_file(path, O_RDONLY);
		MARK(READ_BEGIN);
		for (size_t count = 0; count < PIECES; count++)
			must(read(file, piece, sizeof piece) == sizeof piece, "read");
		MARK(READ_END);
		close(file);
	}
	printf("marked read_per_mib %d %d %d %d\n", READ_BEGIN, READ_END, LENGTH, TIMES);
	unlink(path);
}

/* ---- the only process --------------------------------------------------------------------------------------------- */

static void mount_at(const char *what, const char *where, const char *type)
{
	mkdir(where, 0755);
	must(mount(what, where, type, 0, NULL) == 0 || errno == EBUSY, where);
}

static void memory(void)
{
	char line[100];
	FILE *information = fopen("/proc/meminfo", "r");
	must(information != NULL, "/proc/meminfo");
	unsigned long available;
	while (fgets(line, sizeof line, information))
		if (sscanf(line, "MemAvailable: %lu", &available) == 1) {
			unsigned long used = MEMORY - available * 1024;
			printf("result memory bytes 1 %lu %lu %lu\n", used, used, used);
		}
	fclose(information);
}

/* Loads the modules that /modules/order names. */
static void load_modules(void)
{
	char path[100] = "/modules/";
	FILE *order = fopen("/modules/order", "r");
	must(order != NULL, "/modules/order");
	size_t prefix = strlen(path);
	while (fgets(path + prefix, sizeof path - prefix, order)) {
		path[strcspn(path, "\n")] = 0;
		int module = open_file(path, O_RDONLY);
		must(syscall(SYS_finit_module, module, "", 0) == 0, path);
		close(module);
	}
	fclose(order);
}

/* The driver probes on its own time. */
static int mount_disk(void)
{
	for (int patience = 1000; access("/dev/vda", F_OK) != 0 && patience > 0; patience--)
		usleep(10000);
	mkdir("/mnt", 0755);
	return mount("/dev/vda", "/mnt", "ext4", 0, NULL) == 0;
}

void serve_network(void);

static void measure(int count, char **groups)
{
	mount_at("proc", "/proc", "proc");
	memory();
	mount_at("devtmpfs", "/dev", "devtmpfs");
	load_modules();
	if (count > 0 && strcmp(groups[0], "net") == 0)
		serve_network();
	int has_disk = mount_disk();
	calibrate();
	for (int index = 0; index < count; index++) {
		const char *group = groups[index];
		if (strcmp(group, "ipc") == 0)
			ipc();
		else if (strcmp(group, "kernel") == 0)
			kernel();
		else if (strcmp(group, "proc") == 0)
			proc();
		else if (!has_disk)
			skip(group, "the disk could not be mounted");
		else if (strcmp(group, "file") == 0)
			file();
		else if (strcmp(group, "disk") == 0)
			disk();
	}
	if (has_disk)
		umount("/mnt");
	printf("finished\n");
}

int main(int count, char **arguments)
{
	uint64_t booted = now();
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("result boot instructions 1 %lu %lu %lu\n", booted, booted, booted);
	/* In a process of its own: when it fails, the machine is turned off all the same. */
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		measure(count - 1, arguments + 1);
		exit(0);
	}
	waitpid(child, NULL, 0);
	reboot(RB_POWER_OFF);
	return 1;
}
