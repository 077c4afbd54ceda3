# Vigil frozen into MicroPython: the port's own board, whatever this version makes it of, and ours.
set(IDF_TARGET esp32c3)
include(boards/ESP32_GENERIC_C3/mpconfigboard.cmake)

# Kconfig expands no variables, so the path of our partition table is written where it is known.
file(WRITE ${CMAKE_BINARY_DIR}/sdkconfig.vigil
    "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"${MICROPY_BOARD_DIR}/partitions.csv\"\n")
list(APPEND SDKCONFIG_DEFAULTS
    ${MICROPY_BOARD_DIR}/sdkconfig.board
    ${CMAKE_BINARY_DIR}/sdkconfig.vigil
)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
