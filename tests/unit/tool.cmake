# Parts of the command `numapool`, where it is built whole.
if(TARGET numapool_report)
  foreach(stem stat read)
    numapool_test(report_${stem}_test unit SOURCES report_${stem}_test.c LIBS numapool_report)
  endforeach()
endif()

# src/tool: what its subcommands are made of.
if(NUMAPOOL_CONFIG_FILE)
  set(tool "${PROJECT_SOURCE_DIR}/src/tool")
  numapool_test(load_test unit
    SOURCES load_test.c topology_support.c
            ${tool}/load.c ${tool}/load_stream.c ${tool}/load_trace.c
    LIBS numapool_sim numapool_static ${private_libraries} m)
endif()

# The stats page, written and read: needs the command's reader.
if(TARGET numapool_watch)
  foreach(stem stats_page stats_page_threads)
    numapool_test(${stem}_test unit SOURCES ${stem}_test.c
      LIBS numapool_watch ${NUMAPOOL_ALL_OBJECTS} ${private_libraries})
  endforeach()
  target_link_options(stats_page_threads_test PRIVATE LINKER:--wrap=npi_stats_page_put)
  foreach(stem page_reader pool_view top_view headroom)
    numapool_test(${stem}_test unit SOURCES ${stem}_test.c LIBS numapool_watch)
  endforeach()
  numapool_test(stat_print_test unit
    SOURCES stat_print_test.c "${PROJECT_SOURCE_DIR}/src/tool/stat_print.c" "${PROJECT_SOURCE_DIR}/src/tool/json.c"
    LIBS numapool_watch ${NUMAPOOL_ALL_OBJECTS} ${private_libraries})
endif()
