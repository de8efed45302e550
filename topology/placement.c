/* Copying, comparing and freeing what was said about placement; see placement.h. */
#include "topology/placement.h"

#include <stdlib.h>
#include <string.h>

/* From the second of several shards on gcc's analyzer does not know where `to` points, and so takes the
   string for lost. npi_placement_free() has it. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
static bool copy_string(char **to, const char *from)
{
    *to = from != NULL ? strdup(from) : NULL;
    return from == NULL || *to != NULL;
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

void npi_placed_shards_free(struct npi_placed_shard *shards, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        npi_cpuset_fini(&shards[i].cpus);
        npi_cpuset_fini(&shards[i].callers);
        free(shards[i].where);
    }
    free(shards);
}

void npi_placement_free(struct numapool_placement *placement)
{
    if (placement == NULL)
        return;
    npi_placed_shards_free(placement->shards, placement->shard_count);
    for (unsigned i = 0; i < NPI_SAID_COUNT; i++)
        free(placement->where[i]);
    npi_cpuset_fini(&placement->cpus_only);
    npi_cpuset_fini(&placement->cpus_drop);
    npi_cpuset_fini(&placement->nodes_only);
    npi_cpuset_fini(&placement->nodes_drop);
    npi_cpuset_fini(&placement->reserve);
    free(placement->machine_where);
    free(placement->machine);
    free(placement->name);
    free(placement);
}

static bool copy_shard(struct npi_placed_shard *to, const struct npi_placed_shard *from)
{
    to->node = from->node;
    to->workers_max = from->workers_max;
    to->memory_bytes = from->memory_bytes;
    return npi_cpuset_copy(&to->cpus, &from->cpus) &&
           npi_cpuset_copy(&to->callers, &from->callers) && copy_string(&to->where, from->where);
}

static bool copy_shards(struct numapool_placement *to, const struct numapool_placement *from)
{
    if (from->shard_count == 0)
        return true;
    to->shards = calloc(from->shard_count, sizeof *to->shards);
    if (to->shards == NULL)
        return false;
    to->shard_count = from->shard_count;
    for (unsigned i = 0; i < from->shard_count; i++)
        if (!copy_shard(&to->shards[i], &from->shards[i]))
            return false;
    return true;
}

bool npi_placement_copy(struct numapool_placement **to, const struct numapool_placement *from)
{
    if (from == NULL) {
        *to = NULL;
        return true;
    }
    struct numapool_placement *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return false;
    copy->cpu_kind = from->cpu_kind;
    copy->quota = from->quota;
    copy->on_missing = from->on_missing;
    copy->memory_policy = from->memory_policy;
    copy->pages = from->pages;
    copy->shard_memory_bytes = from->shard_memory_bytes;
    copy->expect_nodes = from->expect_nodes;
    copy->expect_packages = from->expect_packages;
    copy->expect_cpus = from->expect_cpus;
    bool copied = copy_shards(copy, from);
    for (unsigned i = 0; i < NPI_SAID_COUNT; i++)
        copied = copy_string(&copy->where[i], from->where[i]) && copied;
    copied = npi_cpuset_copy(&copy->cpus_only, &from->cpus_only) && copied;
    copied = npi_cpuset_copy(&copy->cpus_drop, &from->cpus_drop) && copied;
    copied = npi_cpuset_copy(&copy->nodes_only, &from->nodes_only) && copied;
    copied = npi_cpuset_copy(&copy->nodes_drop, &from->nodes_drop) && copied;
    copied = npi_cpuset_copy(&copy->reserve, &from->reserve) && copied;
    copied = copy_string(&copy->machine_where, from->machine_where) && copied;
    copied = copy_string(&copy->machine, from->machine) && copied;
    copied = copy_string(&copy->name, from->name) && copied;
    if (!copied) {
        npi_placement_free(copy);
        return false;
    }
    *to = copy;
    return true;
}

static bool equal_shards(const struct npi_placed_shard *a, const struct npi_placed_shard *b)
{
    return npi_cpuset_equal(&a->cpus, &b->cpus) && npi_cpuset_equal(&a->callers, &b->callers) &&
           a->node == b->node && a->workers_max == b->workers_max &&
           a->memory_bytes == b->memory_bytes;
}

bool npi_placement_equal(const struct numapool_placement *a, const struct numapool_placement *b)
{
    static const struct numapool_placement nothing = {0};
    a = a != NULL ? a : &nothing;
    b = b != NULL ? b : &nothing;
    for (unsigned i = 0; i < NPI_SAID_COUNT; i++)
        if ((a->where[i] == NULL) != (b->where[i] == NULL))
            return false;
    if (a->shard_count != b->shard_count)
        return false;
    for (unsigned i = 0; i < a->shard_count; i++)
        if (!equal_shards(&a->shards[i], &b->shards[i]))
            return false;
    return npi_cpuset_equal(&a->cpus_only, &b->cpus_only) &&
           npi_cpuset_equal(&a->cpus_drop, &b->cpus_drop) &&
           npi_cpuset_equal(&a->nodes_only, &b->nodes_only) &&
           npi_cpuset_equal(&a->nodes_drop, &b->nodes_drop) &&
           npi_cpuset_equal(&a->reserve, &b->reserve) && a->cpu_kind == b->cpu_kind &&
           a->quota == b->quota && a->on_missing == b->on_missing &&
           a->memory_policy == b->memory_policy && a->pages == b->pages &&
           a->shard_memory_bytes == b->shard_memory_bytes && a->expect_nodes == b->expect_nodes &&
           a->expect_packages == b->expect_packages && a->expect_cpus == b->expect_cpus;
}
