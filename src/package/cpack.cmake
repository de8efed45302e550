# `cpack` makes .deb files of a build for the machines of whoever built it: the packages of debian/
# beside this by name and content, without their checks. Configure with CMAKE_INSTALL_PREFIX=/usr, which
# is where they install to and what decides on the library's directory.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME numapool)
set(CPACK_PACKAGE_VENDOR "numapool developers")
set(CPACK_PACKAGE_CONTACT "numapool developers <numapool@example.org>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL lib dev tools)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)

set(CPACK_DEBIAN_LIB_PACKAGE_NAME libnumapool${abi_version})
set(CPACK_DEBIAN_LIB_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIB_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_LIB_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_LIB_DESCRIPTION "${PROJECT_DESCRIPTION} - shared library")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libnumapool-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_DESCRIPTION "${PROJECT_DESCRIPTION} - development files")
set(CPACK_COMPONENT_DEV_DEPENDS lib)
# pkg-config asks for these even where the shared library is linked.
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libhwloc-dev (>= 2.4), libnuma-dev")
if(NUMAPOOL_CONFIG_FILE)
  string(APPEND CPACK_DEBIAN_DEV_PACKAGE_DEPENDS ", libconfig-dev")
endif()

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME numapool-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS "gnuplot-nox | gnuplot, hwloc-nox | hwloc")
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "${PROJECT_DESCRIPTION} - command")

# Where Debian looks for a package's licence. Only cpack installs these; debian/ does it by itself.
foreach(component lib dev tools)
  string(TOUPPER ${component} COMPONENT)
  install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/debian/copyright"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${COMPONENT}_PACKAGE_NAME}"
    COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
include(CPack)
