// The demo at its pins, as a library. MODEL is the CXXRTL model; with FLASH it has a flash's pins, and a function of the
// caller's answers for the flash.

#include MODEL

#include <cstddef>
#include <cstdint>

namespace {

typedef int (*Flash)(int cs_n, int clk, int out, int enable);

struct Board {
    cxxrtl_design::p_top top;
    bool selected = true;

    // One clock cycle; tx in it.
    bool cycle(bool rx, Flash flash) {
        top.p_rx.set<bool>(rx);
        top.p_clk.set<bool>(false);
        top.step();
        const bool tx = top.p_tx.get<bool>();
#ifdef FLASH
        const bool cs_n = top.p_flash____cs__n.get<bool>();
        // A flash that is not selected has nothing to say, but must learn that it is not.
        if (!cs_n || selected)
            top.p_flash____dq__in.set<uint32_t>(flash(cs_n, top.p_flash____clk.get<bool>(),
                                                      top.p_flash____dq__out.get<uint32_t>(),
                                                      top.p_flash____dq__enable.get<uint32_t>()));
        selected = !cs_n;
#else
        (void)flash;
#endif
        top.p_clk.set<bool>(true);
        top.step();
        return tx;
    }
};

}  // namespace

extern "C" {

void *board_new() { return new Board; }
void board_free(Board *board) { delete board; }
unsigned board_leds(Board *board) { return board->top.p_leds.get<uint32_t>(); }

// Sends a packet as a UART does, `bit` cycles a bit (need not be whole), and runs until the board has been silent for
// `silence` cycles. Returns the number of bytes from the board, or -1 for a byte without start and stop bit.
long board_send(Board *board, const uint8_t *packet, size_t size, double bit, long silence, Flash flash, uint8_t *out,
                size_t room) {
    const double frame = 10 * bit;
    const long sent = static_cast<long>(frame * size);
    double sample = -1;  // time of the next sample of tx, or -1 between bytes
    unsigned word = 0, bits = 0;
    size_t got = 0;
    for (long cycle = 0, quiet = 0; cycle < sent || quiet < silence; ++cycle, ++quiet) {
        bool rx = true;
        if (cycle < sent) {
            const long byte = static_cast<long>(cycle / frame);
            const int place = static_cast<int>((cycle - byte * frame) / bit);
            rx = place == 0 ? false : place < 9 ? (packet[byte] >> (place - 1)) & 1 : true;
            quiet = 0;
        }
        const bool tx = board->cycle(rx, flash);
        if (sample < 0 && !tx) {
            sample = cycle + bit / 2;
            bits = word = 0;
        } else if (sample >= 0 && cycle >= sample) {
            word |= static_cast<unsigned>(tx) << bits++;
            sample += bit;
            if (bits == 10) {
                if ((word & 0x201) != 0x200) return -1;
                if (got < room) out[got++] = (word >> 1) & 0xff;
                sample = -1;
                quiet = 0;
            }
        }
    }
    return static_cast<long>(got);
}
}
