// Drives a CXXRTL model of rasca_hw.camera.sccb.RegisterSequence on a bus with a sensor and noise. MODEL is the model.
//
// Arguments: the sensor's address; whether its registers have wide ones; the most cycles. Standard input: rows of four
// 32-bit numbers (first cycle, cycle behind the last, 0 for scl or 1 for sda, level), in any order: noise, which
// decides the line's level for both sides. Standard output, a line each: "register ADDRESS VALUE" as written, and at
// last "end CYCLES BUSY DONE ERROR FAILED".

#include MODEL

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "control_slave.h"

struct Noise {
    uint32_t begin, end, line, level;
};

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    ControlSlave slave(std::atoi(argv[1]), std::atoi(argv[2]));
    const uint64_t limit = std::strtoull(argv[3], nullptr, 10);
    std::vector<Noise> noise;
    for (Noise pulse; std::fread(&pulse, sizeof pulse, 1, stdin) == 1;) noise.push_back(pulse);
    cxxrtl_design::p_rasca top;
    Filter filters[2];
    bool pulls = false;
    uint64_t cycle = 0;
    auto clock = [&] {
        top.p_clk.set<bool>(false);
        top.step();
        top.p_clk.set<bool>(true);
        top.step();
    };
    top.p_scl.set<bool>(true);
    top.p_sda.set<bool>(true);
    clock();
    top.p_start.set<bool>(true);
    clock();
    top.p_start.set<bool>(false);
    do {
        bool lines[2] = {!top.p_scl__low.get<bool>(), !top.p_sda__low.get<bool>() && !pulls};
        for (const Noise &pulse : noise)
            if (pulse.begin <= cycle && cycle < pulse.end) lines[pulse.line] = pulse.level;
        const bool scl = filters[0].step(lines[0]), sda = filters[1].step(lines[1]);
        pulls = slave.step(scl, sda);
        top.p_scl.set<bool>(lines[0]);
        top.p_sda.set<bool>(lines[1]);
        clock();
    } while (++cycle < limit && top.p_busy.get<bool>());
    for (const auto &item : slave.written) std::printf("register %u %u\n", item.first, item.second);
    std::printf("end %llu %d %d %d %u\n", (unsigned long long)cycle, top.p_busy.get<bool>(), top.p_done.get<bool>(),
                top.p_error.get<bool>(), top.p_failed.get<unsigned>());
}
