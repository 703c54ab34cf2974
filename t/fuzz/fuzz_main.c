/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_main - run a fuzz target without libFuzzer, so that `make check` covers it everywhere.
 *
 *	fuzz_NAME [FILE | DIRECTORY]...		default: $top_srcdir/t/fuzz/corpus/NAME
 *
 * First every seed as it is, then FUZZ_RUNS (default 20000) mutations of them. Run N depends on
 * FUZZ_SEED and N alone, so a failure is the same everywhere. The runs happen in a child; when it
 * dies the parent makes the input again and leaves it in crash-NAME-N.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qosd/core/mem.h"

#define RUNS_DEFAULT 20000
#define SEED_DEFAULT 1
#define INPUT_MAX    ((size_t)1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t *data;
	size_t size;
};

struct corpus {
	struct input *items;
	size_t count, capacity;
};

/* ---- seeds ---- */

static int add_file(struct corpus *c, const char *path)
{
	struct input in = { .data = malloc(INPUT_MAX) };
	FILE *f = fopen(path, "re");

	if (!f || !in.data || mem_grow(&c->items, &c->capacity, c->count + 1, sizeof(in)) < 0) {
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
		if (f)
			fclose(f);
		free(in.data);
		return -1;
	}
	in.size = fread(in.data, 1, INPUT_MAX, f);
	fclose(f);
	c->items[c->count++] = in;
	return 0;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Sorted by name: the same order everywhere. */
static int add_directory(struct corpus *c, const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, visible, alphasort), r = 0;

	for (int i = 0; i < n; i++) {
		CLEANUP_FREE char *file = NULL;

		if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0) {
			file = NULL;
			r = -1;
		} else if (add_file(c, file) < 0) {
			r = -1;
		}
		free(entries[i]);
	}
	free(entries);
	return n < 0 ? -1 : r;
}

static int add_path(struct corpus *c, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	return S_ISDIR(st.st_mode) ? add_directory(c, path) : add_file(c, path);
}

static int add_default(struct corpus *c, const char *name)
{
	const char *top = getenv("top_srcdir");
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/t/fuzz/corpus/%s", top ? top : ".", name) < 0) {
		path = NULL;
		return -1;
	}
	return add_path(c, path);
}

static void corpus_done(struct corpus *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].data);
	free(c->items);
}

/* ---- mutations ---- */

static uint64_t next_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = *state;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t bound)
{
	return bound ? (size_t)(next_random(state) % bound) : 0;
}

/* Put `len` bytes at `at`, as far as there is room. */
static void insert(struct input *in, size_t at, const uint8_t *bytes, size_t len)
{
	if (len > INPUT_MAX - in->size)
		len = INPUT_MAX - in->size;
	memmove(in->data + at + len, in->data + at, in->size - at);
	memcpy(in->data + at, bytes, len);
	in->size += len;
}

static void erase(struct input *in, size_t at, size_t len)
{
	if (len > in->size - at)
		len = in->size - at;
	memmove(in->data + at, in->data + at + len, in->size - at - len);
	in->size -= len;
}

static void insert_part_of(struct input *in, size_t at, const struct input *from, uint64_t *state)
{
	size_t start = below(state, from->size), len = below(state, from->size - start + 1);
	uint8_t part[64];

	if (len > sizeof(part))
		len = sizeof(part);
	memcpy(part, from->data + start, len);
	insert(in, at, part, len);
}

static void mutate_once(struct input *in, const struct corpus *c, uint64_t *state)
{
	static const char syntax[] = "\"{}()[];=,.%-_#/*\\@\n 0123456789azAZ\xff\x80\x01";
	size_t at = below(state, in->size);
	uint8_t byte = (uint8_t)syntax[below(state, sizeof(syntax))]; /* its NUL too */

	switch (below(state, 7)) {
	case 0:
		if (in->size)
			in->data[at] ^= (uint8_t)(1u << below(state, 8));
		break;
	case 1:
		if (in->size)
			in->data[at] = byte;
		break;
	case 2:
		insert(in, at, &byte, 1);
		break;
	case 3:
		erase(in, at, 1 + below(state, 4));
		break;
	case 4:
		erase(in, at, 1 + below(state, 64));
		break;
	case 5:
		insert_part_of(in, at, in, state);
		break;
	default:
		insert_part_of(in, at, &c->items[below(state, c->count)], state);
	}
}

/* Input number `run` into `ret`, whose buffer has INPUT_MAX bytes. */
static void make_input(struct input *ret, const struct corpus *c, uint64_t seed, size_t run)
{
	uint64_t state = seed * UINT64_C(1000000007) + run;
	const struct input *from = &c->items[run < c->count ? run : below(&state, c->count)];

	memcpy(ret->data, from->data, from->size);
	ret->size = from->size;
	if (run < c->count)
		return;
	for (size_t n = 1 + below(&state, 6); n > 0; n--)
		mutate_once(ret, c, &state);
}

/* ---- runs ---- */

static void run_all(const struct corpus *c, uint64_t seed, size_t runs, volatile size_t *now)
{
	CLEANUP_FREE uint8_t *buffer = malloc(INPUT_MAX);
	struct input in = { .data = buffer };

	for (*now = 0; buffer && *now < c->count + runs; (*now)++) {
		CLEANUP_FREE uint8_t *exact = NULL;

		/* A copy of the exact size lets the sanitizer see reads beyond it. */
		make_input(&in, c, seed, *now);
		exact = malloc(in.size ? in.size : 1);
		if (!exact)
			break;
		memcpy(exact, in.data, in.size);
		LLVMFuzzerTestOneInput(exact, in.size);
	}
}

static void save_crash(const struct corpus *c, uint64_t seed, size_t run, const char *name)
{
	CLEANUP_FREE uint8_t *buffer = malloc(INPUT_MAX);
	struct input in = { .data = buffer };
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "crash-%.64s-%zu", name, run);
	f = buffer ? fopen(path, "we") : NULL;
	if (!f)
		return;
	make_input(&in, c, seed, run);
	fwrite(in.data, 1, in.size, f);
	fclose(f);
	fprintf(stderr, "fuzz_%s: run %zu failed; its input is in %s\n", name, run, path);
}

static int run_in_child(const struct corpus *c, const char *name)
{
	const char *runs_text = getenv("FUZZ_RUNS"), *seed_text = getenv("FUZZ_SEED");
	size_t runs = runs_text ? strtoul(runs_text, NULL, 10) : RUNS_DEFAULT;
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : SEED_DEFAULT;
	size_t *now =
		mmap(NULL, sizeof(*now), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t child = now == MAP_FAILED ? -1 : fork();

	if (child < 0) {
		perror("fuzz_main");
		return 1;
	}
	if (child == 0) {
		run_all(c, seed, runs, now);
		return 0;
	}
	if (waitpid(child, &status, 0) < 0 || status != 0) {
		if (*now < c->count + runs)
			save_crash(c, seed, *now, name);
		else
			fprintf(stderr, "fuzz_%s: failed after the last run\n", name);
		return 1;
	}
	printf("fuzz_%s: %zu seeds and %zu mutations passed\n", name, c->count, runs);
	return 0;
}

int main(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/'), *mark = strstr(base ? base : argv[0], "fuzz_");
	const char *name = mark ? mark + strlen("fuzz_") : "input";
	CLEANUP(corpus_done) struct corpus c = { 0 };
	int r = 0;

	for (int i = 1; i < argc; i++)
		r |= add_path(&c, argv[i]);
	if (argc < 2)
		r = add_default(&c, name);
	if (r < 0 || c.count == 0) {
		fprintf(stderr, "fuzz_%s: no seeds\n", name);
		return 1;
	}
	return run_in_child(&c, name);
}
