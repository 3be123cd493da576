// Drives a CXXRTL model of fpga.camera_demo.CameraDemo at its pins: the sensor's words in, what comes on the UART, the
// control bus, the LEDs and the screen's pairs out. MODEL is the model.
//
// Arguments: period of `sync`, of `pixel` and of `shift` in ps; the sensor's address and whether its registers have
// wide ones; transfers to which it is deaf at first; registers that must be written before the sensor sends; cycles of
// `sync` a UART bit; ps to go on after the last word; a file for the screen's bits of that time, a byte a cycle of
// `shift` (blue, green, red, clock from the lowest pair on). With SCREEN there is one; with FLASH a flash, at the other
// end of a socket: an argument more is its number, and in each cycle in which it matters four bytes are sent (cs_n,
// clk, dq_out, dq_enable) and dq_in is received. Standard input: pairs of 32 bits, a word (sim/camera.py) and the
// period of its clock of pclk in ps. Standard output, a line each: "register ADDRESS VALUE", "byte VALUE", at last
// "leds VALUE EVER", those that are lit and those that ever were.

#include MODEL

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "control_slave.h"

int main(int argc, char **argv) {
#ifdef FLASH
    if (argc != 12) return 2;
    const int flash = std::atoi(argv[11]);
    bool selected = true;
#else
    if (argc != 11) return 2;
#endif
    const uint64_t half[3] = {std::strtoull(argv[1], nullptr, 10) / 2, std::strtoull(argv[2], nullptr, 10) / 2,
                              std::strtoull(argv[3], nullptr, 10) / 2};
    ControlSlave slave(std::atoi(argv[4]), std::atoi(argv[5]), std::atoi(argv[6]));
    const size_t wanted = std::atoi(argv[7]);
    const double bit = std::atof(argv[8]);
    const uint64_t after = std::strtoull(argv[9], nullptr, 10);
    std::FILE *screen = std::fopen(argv[10], "wb");
    if (!screen) return 2;
    cxxrtl_design::p_rasca top;
    // The clocks begin at times that have nothing to do with each other, and the screen's leave reset late.
    uint64_t time[3] = {half[0], half[1] / 3, half[2] / 5}, sensor = 0, end = UINT64_MAX, cycle = 0;
    bool level[3] = {false, false, false}, pclk = true, pulls = false;
    uint32_t word[2] = {0, 0};
    double sample = -1;
    unsigned bits = 0, byte = 0, ever = 0;
    size_t told = 0;
#ifdef SCREEN
    const uint64_t leaves[3] = {0, 40 * half[1], 90 * half[1]};
    top.p_pixel__rst.set<bool>(true);
    top.p_shift__rst.set<bool>(true);
#endif
    top.step();
    for (;;) {
        const bool sends = slave.written.size() >= wanted && end == UINT64_MAX;
        int next = 0;
        for (int i = 1; i < 3; i++)
            if (time[i] < time[next]) next = i;
        if (time[next] >= end) break;
        if (!sends) sensor = time[0];
        if (sends && sensor <= time[next]) {
            if (pclk) {
                if (std::fread(word, 4, 2, stdin) != 2) {
                    end = sensor + after;
                    continue;
                }
                top.p_data.set<uint32_t>(word[0] & 0xff);
                top.p_href.set<bool>(word[0] >> 8 & 1);
                top.p_vsync.set<bool>(word[0] >> 9 & 1);
            }
            pclk = !pclk;
            sensor += word[1] / 2;
            top.p_pclk.set<bool>(pclk);
            top.step();
            continue;
        }
        time[next] += half[next];
        level[next] = !level[next];
        const bool rises = level[next];
#ifdef SCREEN
        if (next == 1 && time[1] > leaves[1]) top.p_pixel__rst.set<bool>(false);
        if (next == 2 && time[2] > leaves[2]) top.p_shift__rst.set<bool>(false);
        if (next == 1) top.p_pixel__clk.set<bool>(rises);
        if (next == 2) top.p_shift__clk.set<bool>(rises);
#endif
        if (next == 0) top.p_clk.set<bool>(rises);
        top.step();
#ifdef SCREEN
        if (next == 2 && rises && end != UINT64_MAX) {
            unsigned pairs = 0;
            pairs |= top.p_tmds____0.get<unsigned>() | top.p_tmds____1.get<unsigned>() << 2;
            pairs |= top.p_tmds____2.get<unsigned>() << 4 | top.p_tmds____3.get<unsigned>() << 6;
            std::fputc(pairs, screen);
        }
#endif
#ifdef FLASH
        if (next == 0 && !rises) {
            const bool cs_n = top.p_flash____cs__n.get<bool>();
            // A flash that is not selected has nothing to say, but must learn that it is not.
            if (!cs_n || selected) {
                const uint8_t pins[4] = {cs_n, top.p_flash____clk.get<bool>(),
                                         static_cast<uint8_t>(top.p_flash____dq__out.get<uint32_t>()),
                                         static_cast<uint8_t>(top.p_flash____dq__enable.get<uint32_t>())};
                uint8_t levels;
                if (write(flash, pins, 4) != 4 || read(flash, &levels, 1) != 1) return 4;
                top.p_flash____dq__in.set<uint32_t>(levels);
            }
            selected = !cs_n;
        }
#endif
        if (next != 0 || !rises) continue;
        cycle++;
        ever |= top.p_leds.get<unsigned>();
        const bool scl = !top.p_scl__low.get<bool>();
        const bool sda = !top.p_sda__low.get<bool>();
        pulls = slave.step(scl, sda && !pulls);
        top.p_scl.set<bool>(scl);
        top.p_sda.set<bool>(sda && !pulls);
        for (; told < slave.written.size(); told++)
            std::printf("register %u %u\n", slave.written[told].first, slave.written[told].second);
        const bool tx = top.p_tx.get<bool>();
        if (sample < 0 && !tx) {
            sample = cycle + bit / 2;
            bits = byte = 0;
        } else if (sample >= 0 && cycle >= sample) {
            byte |= static_cast<unsigned>(tx) << bits++;
            sample += bit;
            if (bits == 10) {
                if ((byte & 0x201) != 0x200) return 3;  // start and stop bit
                std::printf("byte %u\n", byte >> 1 & 0xff);
                sample = -1;
            }
        }
    }
    std::printf("leds %u %u\n", top.p_leds.get<unsigned>(), ever);
    std::fclose(screen);
}
