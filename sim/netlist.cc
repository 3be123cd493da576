// Drives a synthesised netlist of rasca_hw.accelerator.Accelerator that sim/native.py has translated. MODEL is that.
//
// Arguments: words to load, results to wait for, cycles after which to give up. Standard input, numbers of 32 bits: the
// words to load (address, lane), then the pixels (sim/frames.py). Standard output, one line each: "results PAYLOAD" and
// "confidences PAYLOAD" (hexadecimal, highest digit first), and at last "cycles NUMBER".

#include MODEL

#include <cstdio>
#include <cstdlib>
#include <vector>

static Top top;

static void edge() {
    eval(top);
    commit(top);
}

template <typename Payload> static void print(const char *name, const Payload &payload) {
    const auto *bytes = reinterpret_cast<const unsigned char *>(&payload);
    std::printf("%s ", name);
    for (size_t i = sizeof payload; i-- > 0;) std::printf("%02x", bytes[i]);
    std::printf("\n");
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const uint64_t words = std::strtoull(argv[1], nullptr, 10), limit = std::strtoull(argv[3], nullptr, 10);
    const unsigned wanted = std::atoi(argv[2]);
    start(top);
    top.i_rst = 1;
    top.i_load____write = 1;
    uint32_t pair[2], pixel;
    for (uint64_t i = 0; i < words; i++) {
        if (std::fread(pair, 4, 2, stdin) != 2) return 2;
        top.i_load____address = pair[0];
        top.i_load____lane = pair[1];
        edge();
    }
    top.i_load____write = 0;
    edge();
    top.i_rst = 0;
    std::vector<uint32_t> pixels;
    while (std::fread(&pixel, 4, 1, stdin) == 1) pixels.push_back(pixel);
    top.i_results____ready = top.i_confidences____ready = 1;
    uint64_t cycle = 0;
    size_t next = 0;
    for (unsigned done = 0; done < wanted && cycle < limit; cycle++) {
        top.i_pixels____valid = next < pixels.size();
        if (next < pixels.size()) top.i_pixels____payload = pixels[next];
        eval(top);
        next += next < pixels.size() && top.o_pixels____ready;
        if (top.o_confidences____valid) print("confidences", top.o_confidences____payload);
        if (top.o_results____valid) print("results", top.o_results____payload), done++;
        commit(top);
    }
    std::printf("cycles %llu\n", (unsigned long long)cycle);
}
