# Parts of the command `numapool`, where it is built whole.
if(TARGET numapool_report)
  foreach(stem stat read)
    numapool_test(report_${stem}_test unit SOURCES report_${stem}_test.c LIBS numapool_report)
  endforeach()
endif()
