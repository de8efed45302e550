/* The plain machine model: checking it and finding things in it. Pure; see machine.h. */
#include "topology/machine.h"
#include "topology/text.h"

#include <stdlib.h>
#include <string.h>

/* What the kernel calls local; it never reports less (Documentation of ACPI SLIT: 10 = 1.0). */
#define DISTANCE_LOCAL 10u

void npi_machine_fini(struct npi_machine *machine)
{
    for (unsigned i = 0; i < machine->node_count; i++)
        npi_cpuset_fini(&machine->nodes[i].cpus);
    for (unsigned i = 0; i < machine->domain_count; i++)
        npi_cpuset_fini(&machine->domains[i]);
    npi_notes_free(machine->notes, machine->note_count);
    free(machine->summary);
    free(machine->source);
    free(machine->cpus);
    free(machine->nodes);
    free(machine->distance);
    free(machine->domains);
    *machine = (struct npi_machine){0};
}

/* Room for one more than needed, so that an empty array is not NULL for want of memory. */
static void *copy_array(const void *from, size_t count, size_t size)
{
    void *to = calloc(count + 1, size);
    if (to != NULL && count > 0)
        memcpy(to, from, count * size);
    return to;
}

bool npi_machine_copy(struct npi_machine *to, const struct npi_machine *from)
{
    struct npi_machine copy = *from;
    size_t distances = (size_t)from->node_count * from->node_count;
    copy.summary = npi_text_format("%s", from->summary != NULL ? from->summary : "");
    copy.source = npi_text_format("%s", from->source != NULL ? from->source : "");
    copy.cpus = copy_array(from->cpus, from->cpu_count, sizeof *copy.cpus);
    copy.nodes = copy_array(from->nodes, from->node_count, sizeof *copy.nodes);
    copy.domains = copy_array(from->domains, from->domain_count, sizeof *copy.domains);
    if (from->distance != NULL)
        copy.distance = copy_array(from->distance, distances, sizeof *copy.distance);
    copy.notes = NULL;
    copy.note_count = 0;
    bool done = copy.summary != NULL && copy.source != NULL && copy.cpus != NULL &&
                copy.nodes != NULL && copy.domains != NULL &&
                (from->distance == NULL || copy.distance != NULL);
    /* Sets were copied as pointers; none of them is ours yet. */
    for (unsigned i = 0; copy.nodes != NULL && i < from->node_count; i++)
        copy.nodes[i].cpus = (struct npi_cpuset){0};
    for (unsigned i = 0; copy.domains != NULL && i < from->domain_count; i++)
        copy.domains[i] = (struct npi_cpuset){0};
    for (unsigned i = 0; done && i < from->node_count; i++)
        done = npi_cpuset_copy(&copy.nodes[i].cpus, &from->nodes[i].cpus);
    for (unsigned i = 0; done && i < from->domain_count; i++)
        done = npi_cpuset_copy(&copy.domains[i], &from->domains[i]);
    for (unsigned i = 0; done && i < from->note_count; i++)
        done = npi_notes_add(&copy.notes, &copy.note_count, "%s", from->notes[i]);
    if (!done) {
        if (copy.nodes == NULL)
            copy.node_count = 0;
        if (copy.domains == NULL)
            copy.domain_count = 0;
        npi_machine_fini(&copy);
        return false;
    }
    *to = copy;
    return true;
}

bool npi_machine_valid(const struct npi_machine *machine, const char **why)
{
    *why = "it has no CPU that may be used";
    if (machine->cpu_count == 0)
        return false;
    *why = "its CPU numbers are not ascending or too large";
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        unsigned id = machine->cpus[i].os_index;
        if (id > NPI_CPU_ID_MAX || (i > 0 && id <= machine->cpus[i - 1].os_index))
            return false;
    }
    *why = "it has more cores than there can be";
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (machine->cpus[i].core > (int)NPI_CPU_ID_MAX)
            return false;
    *why = "its node numbers are not ascending or too large";
    for (unsigned i = 0; i < machine->node_count; i++) {
        unsigned id = machine->nodes[i].os_index;
        if (id > NPI_NODE_ID_MAX || (i > 0 && id <= machine->nodes[i - 1].os_index))
            return false;
    }
    *why = "a node has CPUs that the machine does not have";
    for (unsigned i = 0; i < machine->node_count; i++) {
        const struct npi_cpuset *cpus = &machine->nodes[i].cpus;
        for (int id = npi_cpuset_next(cpus, -1); id >= 0; id = npi_cpuset_next(cpus, id))
            if (npi_machine_cpu_slot(machine, (unsigned)id) < 0)
                return false;
    }
    *why = "its table of distances has entries below 10";
    for (unsigned i = 0; machine->distance != NULL && i < machine->node_count; i++)
        for (unsigned j = 0; j < machine->node_count; j++) {
            unsigned distance = npi_machine_distance(machine, i, j);
            if (distance != 0 && distance < DISTANCE_LOCAL)
                return false;
        }
    *why = NULL;
    return true;
}

int npi_machine_cpu_slot(const struct npi_machine *machine, unsigned os_index)
{
    unsigned low = 0, high = machine->cpu_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (machine->cpus[middle].os_index < os_index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < machine->cpu_count && machine->cpus[low].os_index == os_index ? (int)low : -1;
}

int npi_machine_node_slot(const struct npi_machine *machine, unsigned os_index)
{
    for (unsigned i = 0; i < machine->node_count; i++)
        if (machine->nodes[i].os_index == os_index)
            return (int)i;
    return -1;
}

bool npi_machine_cpuset(const struct npi_machine *machine, struct npi_cpuset *set)
{
    struct npi_cpuset all = {0};
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (!npi_cpuset_add(&all, machine->cpus[i].os_index)) {
            npi_cpuset_fini(&all);
            return false;
        }
    npi_cpuset_fini(set);
    *set = all;
    return true;
}

unsigned npi_machine_distance(const struct npi_machine *machine, unsigned a, unsigned b)
{
    return machine->distance != NULL ? machine->distance[a * machine->node_count + b] : 0;
}

void npi_nearest_order(const unsigned *distance, unsigned count, unsigned self, unsigned *order)
{
    const unsigned *row = distance + (size_t)self * count;
    unsigned filled = 0;
    /* Insertion by distance alone: visiting others from self + 1 onward makes ties rotate. */
    for (unsigned step = 1; step < count; step++) {
        unsigned other = (self + step) % count;
        unsigned at = filled++;
        for (; at > 0 && row[order[at - 1]] > row[other]; at--)
            order[at] = order[at - 1];
        order[at] = other;
    }
}
