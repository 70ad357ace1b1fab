/*
 * The bare TAP loop in C: what a TAP costs with nothing around it. Bare/BareLoop.cs is the same loop in C#, and
 * `bench/compare --with-c` runs the two side by side.
 *
 *   gcc -O2 -pthread -o bare bare.c
 *   ./bare TAP write|read syscall|io-uring FRAME-BYTES plain|gso
 *
 * It makes the TAP in its network namespace, prints "open", waits for a line on standard input (until then the
 * interface can be brought up), and works until it is killed. Frames are counted by the kernel at the interface.
 *
 * 256 buffers are used in turn, as a ring of 256 would. io_uring: up to 32 operations a submission, each on one
 * buffer and the registered file, with RWF_NOWAIT; reading, the batch grows while the TAP fills it and shrinks to
 * what came when it does not.
 *
 * A second thread does nothing: to a process with one thread alone the kernel and the C library give system calls on
 * files at a discount that no back-end ever gets.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BUFFERS = 256, BATCH = 32, HEADER = 12, SEGMENT = 1448, HEADERS = 54 };

static uint8_t *memory;
static size_t stride;
static unsigned next_buffer;
static int tap;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint8_t *take(void)
{
	return memory + stride * (next_buffer++ % BUFFERS);
}

static void open_tap(const char *name, int offload)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	int header = HEADER;

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request) || ioctl(tap, TUNSETVNETHDRSZ, &header)
	    || ioctl(tap, TUNSETOFFLOAD, offload ? TUN_F_CSUM | TUN_F_TSO4 : 0))
		die(name);
}

/* virtio header, Ethernet to nobody, IPv4, UDP; or TCP in one GSO frame. */
static void fill(uint8_t *buffer, int size, int gso)
{
	static const uint8_t ethernet[14] = { 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 8, 0 };
	static const uint8_t gso_header[HEADER] = { 1, 1, HEADERS, 0, SEGMENT & 0xff, SEGMENT >> 8, 34, 0, 16, 0, 0, 0 };
	uint8_t *ip = buffer + HEADER + 14, *l4 = ip + 20;
	uint32_t sum = 0;
	int length = size - 14;

	if (gso)
		memcpy(buffer, gso_header, HEADER);
	memcpy(buffer + HEADER, ethernet, 14);
	ip[0] = 0x45, ip[2] = length >> 8, ip[3] = length, ip[8] = 64, ip[9] = gso ? 6 : 17;
	ip[12] = 198, ip[13] = 18, ip[15] = 1, ip[16] = 198, ip[17] = 18, ip[19] = 2;
	for (int i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16), sum = ~(sum + (sum >> 16));
	ip[10] = sum >> 8, ip[11] = sum;
	l4[1] = l4[3] = 9;
	if (gso)
		l4[12] = 0x50, l4[13] = 0x10;
	else
		l4[4] = (length - 20) >> 8, l4[5] = length - 20;
}

static void wait_readable(void)
{
	struct pollfd wanted = { .fd = tap, .events = POLLIN };

	poll(&wanted, 1, -1);
}

static void write_syscall(int size)
{
	for (;;) {
		struct iovec vector = { take(), HEADER + size };

		if (writev(tap, &vector, 1) < 0)
			die("writev");
	}
}

static void read_syscall(int room)
{
	for (;;) {
		struct iovec vector = { take(), room };

		if (readv(tap, &vector, 1) < 0) {
			if (errno != EAGAIN)
				die("readv");
			wait_readable();
		}
	}
}

static struct {
	int fd;
	unsigned *tail, mask, *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *completions;
} ring;

static void open_ring(void)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
	};
	size_t size, cq_size;
	uint8_t *rings;

	ring.fd = syscall(SYS_io_uring_setup, BATCH, &p);
	if (ring.fd < 0)
		die("io_uring_setup");
	size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	rings = mmap(NULL, size > cq_size ? size : cq_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
		     IORING_OFF_SQ_RING);
	ring.entries = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
	if (rings == MAP_FAILED || ring.entries == MAP_FAILED)
		die("mmap");
	ring.tail = (unsigned *)(rings + p.sq_off.tail);
	ring.mask = *(unsigned *)(rings + p.sq_off.ring_mask);
	ring.cq_head = (unsigned *)(rings + p.cq_off.head);
	ring.cq_tail = (unsigned *)(rings + p.cq_off.tail);
	ring.cq_mask = *(unsigned *)(rings + p.cq_off.ring_mask);
	ring.completions = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
	for (unsigned i = 0; i < p.sq_entries; i++)
		((unsigned *)(rings + p.sq_off.array))[i] = i;
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &tap, 1))
		die("io_uring_register");
}

/* Submits so many operations; how many of them moved a frame. */
static int submit(int opcode, int count, int length)
{
	unsigned tail = *ring.tail, head = *ring.cq_head, end;
	int moved = 0;

	for (int i = 0; i < count; i++) {
		struct io_uring_sqe *entry = &ring.entries[tail++ & ring.mask];

		memset(entry, 0, sizeof(*entry));
		entry->opcode = opcode;
		entry->flags = IOSQE_FIXED_FILE;
		entry->addr = (uintptr_t)take();
		entry->len = length;
		entry->rw_flags = RWF_NOWAIT;
	}
	__atomic_store_n(ring.tail, tail, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, count, count, IORING_ENTER_GETEVENTS, NULL, 0) != count)
		die("io_uring_enter");
	for (end = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE); head != end; head++) {
		int result = ring.completions[head & ring.cq_mask].res;

		if (result >= 0)
			moved++;
		else if (result != -EAGAIN)
			errno = -result, die("io_uring");
	}
	__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	return moved;
}

static void write_uring(int size)
{
	for (;;)
		submit(IORING_OP_WRITE, BATCH, HEADER + size);
}

static void read_uring(int room)
{
	int batch = 1;

	for (;;) {
		int moved = submit(IORING_OP_READ, batch, room);

		if (moved == batch)
			batch = batch * 2 < BATCH ? batch * 2 : BATCH;
		else {
			batch = moved > 1 ? moved : 1;
			wait_readable();
		}
	}
}

static void *idle(void *nothing)
{
	pause();
	return nothing;
}

int main(int count, char **arguments)
{
	int write_frames, uring, size, gso, room;
	pthread_t thread;

	if (count != 6) {
		fprintf(stderr, "usage: bare TAP write|read syscall|io-uring FRAME-BYTES plain|gso\n");
		return 2;
	}
	write_frames = !strcmp(arguments[2], "write");
	uring = !strcmp(arguments[3], "io-uring");
	size = atoi(arguments[4]);
	gso = !strcmp(arguments[5], "gso");
	room = gso ? 68 * 1024 : 2048;
	stride = room;
	memory = mmap(NULL, stride * BUFFERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	if (pthread_create(&thread, NULL, idle, NULL))
		die("pthread_create");
	open_tap(arguments[1], gso);
	if (uring)
		open_ring();
	if (write_frames)
		for (int i = 0; i < BUFFERS; i++)
			fill(memory + stride * i, size, gso);
	puts("open");
	fflush(stdout);
	getchar();
	if (write_frames)
		uring ? write_uring(size) : write_syscall(size);
	else
		uring ? read_uring(room) : read_syscall(room);
}
