// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of sent frames: pools of a few chunks, which are used in turn.
 *
 * Each frame in the stack holds a reference to its chunk's page, and the chunk
 * holds one itself. The references of a batch are added when it is injected, by
 * one atomic operation a chunk.
 *
 * When only the chunk's own reference is left, the stack has freed all frames
 * of the chunk, and its memory is reused. That saves allocating and zeroing
 * pages. A chunk that is still in use when its turn comes is left to the stack
 * and replaced by a new one.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "internal.h"

#define TT_CHUNK_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NOMEMALLOC)

static bool chunk_idle(const struct tt_chunk *chunk)
{
	return !chunk->frames && chunk->page &&
	       page_ref_count(chunk->page) == 1;
}

static bool chunk_renew(struct tt_chunk *chunk, unsigned int order,
			unsigned int bytes)
{
	if (chunk->page)
		put_page(chunk->page);
	chunk->page = alloc_pages(TT_CHUNK_GFP | __GFP_COMP | __GFP_NORETRY,
				  order);
	if (!chunk->page && bytes <= PAGE_SIZE) {
		order = 0;
		chunk->page = alloc_page(TT_CHUNK_GFP);
	}
	chunk->bytes = chunk->page ? PAGE_SIZE << order : 0;
	chunk->used = 0;
	return chunk->page;
}

/*
 * A chunk with room for `bytes`, at most the size of the pool's chunks. NULL if
 * there is no memory, or if all chunks hold frames of the batch, which must be
 * injected first.
 */
struct tt_chunk *tt_chunk_get(struct tt_pool *pool, unsigned int bytes)
{
	struct tt_chunk *chunk = &pool->chunks[pool->current_chunk];
	unsigned int next;

	if (chunk_idle(chunk))
		chunk->used = 0;
	if (chunk->used + bytes <= chunk->bytes)
		return chunk;

	next = (pool->current_chunk + 1) % TT_CHUNKS;
	chunk = &pool->chunks[next];
	if (chunk->frames)
		return NULL;
	if (chunk_idle(chunk) && bytes <= chunk->bytes)
		chunk->used = 0;
	else if (!chunk_renew(chunk, pool->order, bytes))
		return NULL;
	pool->current_chunk = next;
	return chunk;
}

/* Before the batch is injected: take a reference for each frame. */
void tt_chunks_hold(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (pool->chunks[i].frames)
			page_ref_add(pool->chunks[i].page,
				     pool->chunks[i].frames);
}

/* The injection failed: drop those references. */
void tt_chunks_unhold(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (pool->chunks[i].frames)
			page_ref_sub(pool->chunks[i].page,
				     pool->chunks[i].frames);
}

/* The batch was injected or dropped: no chunk holds frames of it. */
void tt_chunks_settle(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		pool->chunks[i].frames = 0;
}

void tt_chunks_free(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (pool->chunks[i].page)
			put_page(pool->chunks[i].page);
}
