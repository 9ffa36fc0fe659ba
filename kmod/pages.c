// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of frames that wait to be injected: a few chunks a socket, used in
 * turn, and again once the stack is done with all that lay in them.
 *
 * tun wants a page reference for each frame. They are added when a batch is
 * injected, one atomic operation a chunk; the chunk keeps one of its own. A
 * chunk whose references have come back to that one is free for new frames,
 * which saves the allocator and its zeroing of pages. One that is still in use
 * when its turn comes is left to the stack, and replaced.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "internal.h"

#define TT_CHUNK_ORDER	get_order(SZ_32K)
#define TT_CHUNK_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NOMEMALLOC)

static bool chunk_idle(const struct tt_chunk *chunk)
{
	return !chunk->frames && chunk->page &&
	       page_ref_count(chunk->page) == 1;
}

static bool chunk_renew(struct tt_chunk *chunk)
{
	unsigned int order = TT_CHUNK_ORDER;

	if (chunk->page)
		put_page(chunk->page);
	chunk->page = alloc_pages(TT_CHUNK_GFP | __GFP_COMP | __GFP_NORETRY,
				  order);
	if (!chunk->page) {
		order = 0;	/* holds any frame that is batched */
		chunk->page = alloc_page(TT_CHUNK_GFP);
	}
	chunk->bytes = chunk->page ? PAGE_SIZE << order : 0;
	chunk->used = 0;
	return chunk->page;
}

/*
 * A chunk with room for bytes, at most a page. NULL when there is no memory,
 * or when the batch must be injected first: it has frames everywhere.
 */
struct tt_chunk *tt_chunk_get(struct tt_batch *batch, unsigned int bytes)
{
	struct tt_chunk *chunk = &batch->chunks[batch->current_chunk];
	unsigned int next;

	if (chunk_idle(chunk))
		chunk->used = 0;
	if (chunk->used + bytes <= chunk->bytes)
		return chunk;

	next = (batch->current_chunk + 1) % TT_CHUNKS;
	chunk = &batch->chunks[next];
	if (chunk->frames)
		return NULL;
	if (chunk_idle(chunk) && bytes <= chunk->bytes)
		chunk->used = 0;
	else if (!chunk_renew(chunk))
		return NULL;
	batch->current_chunk = next;
	return chunk;
}

/* Before the injection: a reference for each frame. */
void tt_chunks_hold(struct tt_batch *batch)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (batch->chunks[i].frames)
			page_ref_add(batch->chunks[i].page,
				     batch->chunks[i].frames);
}

/* The injection failed: the references are ours again. */
void tt_chunks_unhold(struct tt_batch *batch)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (batch->chunks[i].frames)
			page_ref_sub(batch->chunks[i].page,
				     batch->chunks[i].frames);
}

/* The batch is over, whatever became of it. */
void tt_chunks_settle(struct tt_batch *batch)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		batch->chunks[i].frames = 0;
}

void tt_chunks_free(struct tt_batch *batch)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (batch->chunks[i].page)
			put_page(batch->chunks[i].page);
}
