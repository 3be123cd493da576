// Drives a compiled sim.top.TracedAccelerator: pixels in, results, confidences, counters and every written word out.
// Before this file come the design, of sim/native.py or CXXRTL, and what sim/glue.py says of its ports.

#ifdef WITH_VCD
#include <cxxrtl/cxxrtl_vcd.h>
#include <fstream>
#endif

struct Simulation {
    Top top{};
    uint64_t cycle = 0;
    std::vector<Write> writes;
    std::vector<uint8_t> results, confidences;
    std::vector<uint32_t> counters;
#ifdef WITH_VCD
    cxxrtl::debug_items items;
    cxxrtl::vcd_writer vcd;
    std::ofstream file;
#endif

    // Between `settle` and `edge` every output has the value it has before the rising edge.
    void settle() { eval(top); }

    void edge() {
        commit(top);
#ifdef WITH_VCD
        if (file.is_open()) {
            vcd.sample(cycle);
            file << vcd.buffer;
            vcd.buffer.clear();
        }
#endif
        cycle++;
    }
};


extern "C" {

Simulation *rasca_new(const char *vcd_path) {
    auto *s = new Simulation;
    start(s->top);
#ifdef WITH_VCD
    if (vcd_path[0]) {
        cxxrtl::debug_scopes scopes;
        s->top.debug_info(&s->items, &scopes, "");
        s->vcd.timescale(1, "ns");
        s->vcd.add_without_memories(s->items);
        s->file.open(vcd_path);
    }
#else
    (void)vcd_path;
#endif
    set_rst(s->top, true);
    s->settle();
    s->edge();
    s->cycle = 0;
    set_rst(s->top, false);
    return s;
}

void rasca_free(Simulation *s) { delete s; }

void rasca_load(Simulation *s, int memory, uint32_t words, uint32_t stride, const uint8_t *data) {
    for (uint32_t i = 0; i < words; i++)
        load(s->top, memory, i, data + i * stride);
}

// Writes a register, which takes a cycle.
void rasca_set(Simulation *s, uint32_t address, uint32_t data) {
    set_register(s->top, address);
    set_data(s->top, data);
    set_write(s->top, true);
    set_pixels__valid(s->top, false);
    s->settle();
    s->edge();
    set_write(s->top, false);
}

// Pixels: r | g << 8 | b << 16 | first << 24 | last << 25, or `1 << 31` for a cycle without one. Runs until `frames` more
// results have come and the counters are read, or for `limit` cycles; returns the results that came.
uint32_t rasca_run(Simulation *s, const uint32_t *pixels, uint64_t count, uint32_t frames, uint64_t limit, int trace) {
    Top &top = s->top;
    uint64_t next = 0, end = s->cycle + limit;
    uint32_t done = 0;
    int reading = -1;
    set_results__ready(top, true);
    set_confidences__ready(top, true);
    while (s->cycle < end && (done < frames || reading >= 0)) {
        bool valid = next < count && !(pixels[next] >> 31);
        set_pixels__valid(top, valid);
        if (valid)
            set_pixels__payload(top, pixels[next] & 0x3ffffff);
        if (reading >= 0)
            set_register(top, reading < REGISTERS ? reading : 0);
        s->settle();
        if (reading > 0)
            s->counters.push_back(get_value(top));
        if (reading >= 0 && ++reading > REGISTERS)
            reading = -1;
        if (next < count && (!valid || get_pixels__ready(top)))
            next++;
        if (get_confidences__valid(top)) {
            append_confidences(top, s->confidences);
        }
        if (get_results__valid(top)) {
            append_results(top, s->results);
            done++;
            reading = 0;
        }
        if (trace)
            for (int i = 0; i < TRACES; i++) {
                Write write;
                if (read_trace(top, i, write)) {
                    write.cycle = s->cycle;
                    write.trace = i;
                    s->writes.push_back(write);
                }
            }
        s->edge();
    }
    return done;
}

uint64_t rasca_cycle(Simulation *s) { return s->cycle; }

// Each returns a pointer to what was collected since the last `rasca_clear`, and its size in bytes.
const void *rasca_writes(Simulation *s, uint64_t *size) { *size = s->writes.size() * sizeof(Write); return s->writes.data(); }
const void *rasca_results(Simulation *s, uint64_t *size) { *size = s->results.size(); return s->results.data(); }
const void *rasca_confidences(Simulation *s, uint64_t *size) { *size = s->confidences.size(); return s->confidences.data(); }
const void *rasca_counters(Simulation *s, uint64_t *size) { *size = 4 * s->counters.size(); return s->counters.data(); }

void rasca_clear(Simulation *s) {
    s->writes.clear();
    s->results.clear();
    s->confidences.clear();
    s->counters.clear();
}
}
