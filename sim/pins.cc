// Drives a CXXRTL model of rasca_hw.camera.system.CameraAccelerator at its pins, with two clocks that have nothing to do
// with each other. MODEL is the model.
//
// Arguments: period of the accelerator's clock in ps; cycles in which results are not read before one in which they
// are, and the number of the word from which they are read in each; ps to go on after the last word. Standard input:
// pairs of 32 bits, a word (sim/camera.py: D[7:0], HREF, VSYNC, RESET) and the period of its clock of pclk in ps; the
// pins change at its begin, and pclk rises in its middle. A period of 0 is no clock: from then on the accelerator's
// reset is as RESET says, and a cycle passes. Standard output, one line each: "result TIME PAYLOAD" (hexadecimal,
// highest digit first), "spoiled TIME", "overflow TIME" (its level changed), "reset TIME" (for a period of 0), "latency
// CYCLES CYCLES" some cycles behind each result (from the end of the last used row at the row interface, and from the
// window's last pixel) and at last "end TIME".

#include MODEL

#include <cstdint>
#include <cstdio>
#include <cstdlib>

// An output is a register (wire) or not (value), as the optimiser left it.
template <size_t N> static const cxxrtl::value<N> &now(const cxxrtl::value<N> &v) { return v; }
template <size_t N> static const cxxrtl::value<N> &now(const cxxrtl::wire<N> &w) { return w.curr; }

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    const uint64_t clk_half = std::strtoull(argv[1], nullptr, 10) / 2;
    const uint64_t sleep = std::strtoull(argv[2], nullptr, 10), until = std::strtoull(argv[3], nullptr, 10);
    const uint64_t after = std::strtoull(argv[4], nullptr, 10);
    cxxrtl_design::p_rasca top;
    uint64_t clk_time = clk_half, pclk_time = 0, end = UINT64_MAX, cycle = 0, words = 0;
    uint32_t word[2] = {0, 0};
    bool clk = false, pclk = true, overflow = false, reset = false;
    unsigned told = 0;
    top.p_register.set<uint32_t>(6);  // latency, see rasca_hw/counters.py
    top.p_confidences____ready.set<bool>(true);
    top.p_rst.set<bool>(true);
    top.step();
    while (clk_time < end) {
        if (pclk_time <= clk_time && end == UINT64_MAX) {
            if (pclk) {
                pclk = false;
                if (std::fread(word, 4, 2, stdin) != 2) {
                    end = pclk_time + after;
                    continue;
                }
                words++;
                if (!word[1]) {
                    // Until the accelerator's clock has seen it.
                    reset = word[0] >> 10 & 1;
                    std::printf("reset %llu\n", (unsigned long long)pclk_time);
                    pclk_time += 2 * clk_half;
                    pclk = true;
                    continue;
                }
                top.p_data.set<uint32_t>(word[0] & 0xff);
                top.p_href.set<bool>(word[0] >> 8 & 1);
                top.p_vsync.set<bool>(word[0] >> 9 & 1);
            } else {
                pclk = true;
            }
            pclk_time += word[1] / 2;
            top.p_pclk.set<bool>(pclk);
            top.step();
            continue;
        }
        clk_time += clk_half;
        if (clk) {
            // Nothing happens at a falling edge; that there was one is all the model must know.
            clk = false;
            top.p_clk.set<bool>(false);
            top.prev_p_clk.set<bool>(false);
            continue;
        }
        clk = true;
        cycle++;
        const bool ready = words > until || cycle % (sleep + 1) == sleep;
        top.p_results____ready.set<bool>(ready);
        top.p_rst.set<bool>(reset || cycle < 3);
        top.p_clk.set<bool>(true);
        top.eval(nullptr);
        // The outputs as they are at this edge.
        if (ready && top.p_results____valid.get<bool>()) {
            const auto &payload = now(top.p_results____payload);
            std::printf("result %llu ", (unsigned long long)clk_time);
            for (size_t i = payload.chunks; i-- > 0;) std::printf("%08x", payload.data[i]);
            std::printf("\n");
            told = 4;
        }
        if (told && !--told)
            std::printf("latency %u %u\n", now(top.p_value).get<uint32_t>(), now(top.p_latency).get<uint32_t>());
        if (top.p_spoiled.get<bool>()) std::printf("spoiled %llu\n", (unsigned long long)clk_time);
        if (top.p_overflow.get<bool>() != overflow) {
            overflow = !overflow;
            std::printf("overflow %llu\n", (unsigned long long)clk_time);
        }
        top.commit();
    }
    std::printf("end %llu\n", (unsigned long long)clk_time);
}
