// Vigil on ESP32: names only, everything else is the port's.
#define MICROPY_HW_BOARD_NAME "Vigil on ESP32"
#define MICROPY_HW_MCU_NAME "ESP32"
