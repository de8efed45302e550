/* See xml_scan.h. */
#include "topology/xml_scan.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool npi_xml_is(struct npi_xml_span span, const char *text)
{
    return span.length == strlen(text) && memcmp(span.start, text, span.length) == 0;
}

const struct npi_xml_span *npi_xml_value(const struct npi_xml_tag *tag, const char *name)
{
    for (unsigned i = 0; i < tag->count; i++)
        if (npi_xml_is(tag->attributes[i].name, name))
            return &tag->attributes[i].value;
    return NULL;
}

bool npi_xml_number(struct npi_xml_span span, uint64_t bound, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < span.length; i++) {
        unsigned digit = (unsigned)(span.start[i] - '0');
        if (span.start[i] < '0' || span.start[i] > '9' || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return span.length > 0 && value <= bound;
}

/* A line of its own; hwloc's small reader passes lines, others pass what the brackets hold. */
static bool take_header_line(struct npi_xml_scan *scan)
{
    const char *end = strchr(scan->at, '\n');
    if (end == NULL)
        return false;
    const char *bracket = strchr(scan->at, '>');
    const char *last = end > scan->at && end[-1] == '\r' ? end - 1 : end;
    if (bracket == NULL || bracket + 1 != last)
        return false;
    scan->at = end + 1;
    scan->line++;
    return true;
}

bool npi_xml_header(struct npi_xml_scan *scan)
{
    static const char *const declarations[] = {
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<?xml version=\"1.0\"?>",
    };
    for (size_t i = 0; i < sizeof declarations / sizeof *declarations; i++)
        if (strncasecmp(scan->at, declarations[i], strlen(declarations[i])) == 0) {
            if (!take_header_line(scan))
                return false;
            break;
        }
    static const char document_type[] = "<!DOCTYPE topology SYSTEM \"";
    if (strncmp(scan->at, document_type, sizeof document_type - 1) != 0)
        return true;
    /* The name of a file that is not read; what could follow it would be read. */
    const char *name = scan->at + sizeof document_type - 1;
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.");
    return strncmp(name + length, "\">", 2) == 0 && take_header_line(scan);
}

bool npi_xml_over(const struct npi_xml_scan *scan)
{
    const char *at = scan->at;
    while (is_blank(*at))
        at++;
    return *at == '\0';
}

/* The few entities hwloc writes, each for one character. */
static bool is_entity(const char *at)
{
    static const char *const known[] = {"&lt;", "&gt;",  "&amp;", "&quot;",
                                        "&#9;", "&#10;", "&#13;"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(at, known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

/* ="value"; the cursor is at the sign of equality. */
static bool take_value(struct npi_xml_scan *scan, struct npi_xml_span *value)
{
    if (scan->at[0] != '=' || scan->at[1] != '"')
        return false;
    value->start = scan->at + 2;
    for (scan->at += 2; *scan->at != '"'; scan->at++)
        if ((unsigned char)*scan->at < 0x20 || *scan->at == '<' || *scan->at == '>' ||
            (*scan->at == '&' && !is_entity(scan->at)))
            return false;
    value->length = (size_t)(scan->at - value->start);
    scan->at++;
    return true;
}

static bool take_attributes(struct npi_xml_scan *scan, struct npi_xml_tag *tag)
{
    while (scan->at[0] == ' ' && scan->at[1] >= 'a' && scan->at[1] <= 'z') {
        if (tag->count == NPI_XML_ATTRIBUTES_MAX)
            return false;
        struct npi_xml_attribute *attribute = &tag->attributes[tag->count];
        attribute->name.start = ++scan->at;
        attribute->name.length = strspn(scan->at, "abcdefghijklmnopqrstuvwxyz_");
        for (unsigned i = 0; i < tag->count; i++)
            if (tag->attributes[i].name.length == attribute->name.length &&
                memcmp(tag->attributes[i].name.start, attribute->name.start,
                       attribute->name.length) == 0)
                return false;
        scan->at += attribute->name.length;
        if (!take_value(scan, &attribute->value))
            return false;
        tag->count++;
    }
    return true;
}

bool npi_xml_next(struct npi_xml_scan *scan, struct npi_xml_tag *tag)
{
    *tag = (struct npi_xml_tag){.before = {.start = scan->at}};
    for (; *scan->at != '<'; scan->at++) {
        if (*scan->at == '\0' || *scan->at == '&' || *scan->at == '>')
            return false;
        scan->line += *scan->at == '\n';
    }
    tag->before.length = (size_t)(scan->at - tag->before.start);
    scan->at++;
    tag->end = *scan->at == '/';
    scan->at += tag->end;
    tag->name.start = scan->at;
    tag->name.length = strspn(scan->at, "abcdefghijklmnopqrstuvwxyz0123456789_");
    scan->at += tag->name.length;
    if (tag->name.length == 0 || (!tag->end && !take_attributes(scan, tag)))
        return false;
    tag->closed = !tag->end && *scan->at == '/';
    scan->at += tag->closed;
    return *scan->at++ == '>';
}
