/*
 * Tags of an XML text as hwloc writes them, and of no other: no comments, no sections, no entities
 * but the few that stand for single characters, values in double quotes without brackets. In what is
 * left all XML readers agree on where a tag begins and ends. Used by discover_xml.c alone.
 */
#ifndef NPI_TOPOLOGY_XML_SCAN_H
#define NPI_TOPOLOGY_XML_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct npi_xml_span {
    const char *start;
    size_t length;
};

struct npi_xml_attribute {
    struct npi_xml_span name, value;
};

#define NPI_XML_ATTRIBUTES_MAX 32u

struct npi_xml_tag {
    bool end;    /* </name> */
    bool closed; /* <name .../> */
    struct npi_xml_span name;
    struct npi_xml_span before; /* the characters between the tag before and this one */
    unsigned count;
    struct npi_xml_attribute attributes[NPI_XML_ATTRIBUTES_MAX]; /* each name once */
};

struct npi_xml_scan {
    const char *at;
    int line;
};

/* Passes the XML declaration and the document type. false: they are not as hwloc writes them. */
bool npi_xml_header(struct npi_xml_scan *scan);

/* The next tag; false at the end of the text and at what is no tag. */
bool npi_xml_next(struct npi_xml_scan *scan, struct npi_xml_tag *tag);

/* Whether nothing but blanks is left. */
bool npi_xml_over(const struct npi_xml_scan *scan);

bool npi_xml_is(struct npi_xml_span span, const char *text);

/* The value of an attribute; NULL = it has none of this name. */
const struct npi_xml_span *npi_xml_value(const struct npi_xml_tag *tag, const char *name);

/* Decimal digits only, up to a bound. */
bool npi_xml_number(struct npi_xml_span span, uint64_t bound, uint64_t *number);

#endif
