// Drives the demo's pins: packets from standard input (4 bytes of length, low byte first, before each) go in as a UART
// sends them, the next one once the board has been silent, as a host waits for its answer; bytes from the board go to
// standard output. Arguments: clock cycles a bit (need not be whole), cycles that count as silence. MODEL is the CXXRTL
// model.

#include MODEL

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    const double bit = std::atof(argv[1]);
    const long silence = std::atol(argv[2]);
    cxxrtl_design::p_top top;
    const double frame = 10 * bit;
    double sample;  // time of the next sample of tx, or -1 between bytes
    unsigned word = 0, bits = 0;
    unsigned char length[4];
    while (std::fread(length, 1, 4, stdin) == 4) {
        std::vector<unsigned char> packet(length[0] | length[1] << 8 | length[2] << 16 | length[3] << 24);
        if (std::fread(packet.data(), 1, packet.size(), stdin) != packet.size()) return 2;
        const long sent = static_cast<long>(frame * packet.size());
        sample = -1;
        for (long cycle = 0, quiet = 0; cycle < sent || quiet < silence; ++cycle, ++quiet) {
            bool rx = true;
            if (cycle < sent) {
                const long byte = static_cast<long>(cycle / frame);
                const int place = static_cast<int>((cycle - byte * frame) / bit);
                rx = place == 0 ? false : place < 9 ? (packet[byte] >> (place - 1)) & 1 : true;
                quiet = 0;
            }
            top.p_rx.set<bool>(rx);
            top.p_clk.set<bool>(false);
            top.step();
            top.p_clk.set<bool>(true);
            top.step();
            const bool tx = top.p_tx.get<bool>();
            if (sample < 0 && !tx) {
                sample = cycle + bit / 2;
                bits = word = 0;
            } else if (sample >= 0 && cycle >= sample) {
                word |= static_cast<unsigned>(tx) << bits++;
                sample += bit;
                if (bits == 10) {
                    if ((word & 0x201) != 0x200) return 3;  // start and stop bit
                    std::putchar((word >> 1) & 0xff);
                    sample = -1;
                    quiet = 0;
                }
            }
        }
    }
}
