/* Between page_find.c, which knows /proc, and page_reader.c, which knows a page. */
#ifndef NPI_TOOL_PAGE_FIND_H
#define NPI_TOOL_PAGE_FIND_H

#include "tool/page_reader.h"

/* Maps what an open descriptor is; PAGE_NONE when it is not complete yet. */
enum page_result page_map(struct page *page, int fd, uint32_t *version);
void page_unmap(struct page *page);

#endif
