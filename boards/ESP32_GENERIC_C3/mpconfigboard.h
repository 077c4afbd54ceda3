// Vigil on ESP32C3: its name; everything else is the port's.
#define MICROPY_HW_BOARD_NAME "Vigil on ESP32C3"
#define MICROPY_HW_MCU_NAME "ESP32C3"

// The REPL on UART0, too: on many modules the USB socket leads to an external USB-UART.
#define MICROPY_HW_ENABLE_UART_REPL (1)
