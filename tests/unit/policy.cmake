# Decisions: link policy and base only, so that nothing else can be needed.
foreach(topic scale balance forward admit idle route)
  numapool_test(${topic}_test unit SOURCES ${topic}_test.c LIBS numapool_policy m)
endforeach()
