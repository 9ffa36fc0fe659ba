/* SPDX-License-Identifier: Apache-2.0 */
#include "capture_read.h"

#include <string.h>

#include "atomic.h"
#include "clock.h"

#define PAD_BYTES 8u
#define START_TRIES 1000u

static uint64_t next_chunk(uint64_t position)
{
	return (position + TTF_CAPTURE_CHUNK - 1) / TTF_CAPTURE_CHUNK * TTF_CAPTURE_CHUNK;
}

/* Of the ring's bytes from `at` on, which were copied: the first that weren't overwritten meanwhile. */
static uint64_t first_whole(const struct ttf_capture *capture, uint64_t at)
{
	uint64_t reserved;

	__atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with reserve() in capture.c */
	reserved = load_relaxed(&capture->reserved);
	if (reserved <= at + TTF_CAPTURE_BYTES)
		return at;
	return next_chunk(reserved - TTF_CAPTURE_BYTES);
}

static void copy_ring(const struct ttf_capture *capture, uint64_t at, uint8_t *out, uint64_t bytes)
{
	const uint64_t from = at % TTF_CAPTURE_BYTES;
	const uint64_t first = bytes < TTF_CAPTURE_BYTES - from ? bytes : TTF_CAPTURE_BYTES - from;

	memcpy(out, capture->ring + from, first);
	memcpy(out + first, capture->ring, bytes - first);
}

/* Is there a record, of the bytes that are left in its chunk? A pad is one, too. */
static bool record_valid(const struct ttf_captured *record, uint64_t left)
{
	if (record->bytes < PAD_BYTES || record->bytes % 8 || record->bytes > left ||
	    record->event >= TTF_EVENT_COUNT)
		return false;
	if (record->event == TTF_EVENT_PAD)
		return true;
	return record->bytes >= sizeof(*record) && record->kept <= record->bytes - sizeof(*record) &&
	       record->kept <= record->length && record->reason < TTF_DROP_SLOTS;
}

static bool is_wanted(const struct ttf_capture_reader *reader, const struct ttf_captured *record)
{
	if (!(reader->events >> record->event & 1))
		return false;
	if (record->port < TTF_MAX_PORTS)
		return reader->ports >> record->port & 1;
	return !~reader->ports;
}

static void count_number(struct ttf_capture_reader *reader, uint64_t number)
{
	if (reader->begun && number > reader->number)
		reader->lost += number - reader->number;
	reader->begun = true;
	reader->number = number + 1;
}

/* Move the wanted records of `size` bytes from position `begin`, which are in `out`, to the front. Returns their bytes. */
static uint64_t select_records(struct ttf_capture_reader *reader, uint8_t *out, uint64_t begin, uint64_t size)
{
	uint64_t selected = 0;

	for (uint64_t at = 0; at < size;) {
		const struct ttf_captured *record = (const struct ttf_captured *)(out + at);
		const uint64_t rest = TTF_CAPTURE_CHUNK - (begin + at) % TTF_CAPTURE_CHUNK;
		const uint64_t left = rest < size - at ? rest : size - at;
		const uint32_t bytes = record->bytes;

		if (!record_valid(record, left)) {
			reader->malformed++;
			at += left;
			continue;
		}
		at += bytes;
		if (record->event == TTF_EVENT_PAD)
			continue;
		count_number(reader, record->number);
		reader->last_ns = record->time_ns;
		if (!is_wanted(reader, record))
			continue;
		memmove(out + selected, record, bytes);
		selected += bytes;
	}
	return selected;
}

/* Whether `head` and `records` belong together. */
static bool read_head(const struct ttf_capture *capture, uint64_t *head, uint64_t *records)
{
	*head = load_acquire(&capture->head); /* pairs with ttf_capture_publish() */
	*records = load_relaxed(&capture->records);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !load_relaxed(&capture->writing) && load_relaxed(&capture->head) == *head;
}

void ttf_capture_reader_start(struct ttf_capture_reader *reader)
{
	uint64_t head = 0, records = 0;

	/* A worker that is never found between two bursts: then it isn't known which record is the next. */
	reader->begun = false;
	for (uint32_t tries = 0; tries < START_TRIES && !reader->begun; tries++)
		reader->begun = read_head(reader->base, &head, &records);
	reader->at = head & ~7ull;
	reader->number = records;
	reader->malformed = 0;
	reader->lost = 0;
	reader->until_ns = 0;
	reader->last_ns = 0;
}

uint64_t ttf_capture_read(struct ttf_capture_reader *reader, uint8_t *out)
{
	const struct ttf_capture *capture = reader->base;
	const uint64_t now = clock_precise_ns();
	uint64_t head, begin, selected;
	uint32_t writing;

	fence_seq_cst(); /* pairs with ttf_capture_time(): a later record has a later time, or `writing` is seen */
	writing = load_acquire(&capture->writing);
	head = load_acquire(&capture->head) & ~7ull; /* pairs with ttf_capture_publish() */
	if (head - reader->at > TTF_CAPTURE_BYTES)
		reader->at = next_chunk(head - TTF_CAPTURE_BYTES);
	copy_ring(capture, reader->at, out, head - reader->at);
	begin = first_whole(capture, reader->at);
	if (begin - reader->at > head - reader->at)
		begin = head;
	memmove(out, out + (begin - reader->at), head - begin);
	selected = select_records(reader, out, begin, head - begin);
	reader->at = head;
	reader->until_ns = writing ? reader->last_ns : now;
	return selected;
}

uint32_t ttf_capture_seen(const void *base)
{
	return load_acquire(&((const struct ttf_capture *)base)->seen);
}
