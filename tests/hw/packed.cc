// Drives the unit of tests/hw/test_packed.py, translated by sim/native.py, through all weights within -127 .. 127 and all
// activations. Argument: its latency. Output: how many triples w0, w1, a were checked, how many were wrong, and the first.

#include MODEL

#include <cstdio>
#include <cstdlib>
#include <deque>

static Top top;

int main(int, char **argv) {
    const size_t latency = std::atoi(argv[1]);
    struct Triple { int w0, w1, a; };
    std::deque<Triple> waiting;
    unsigned long checked = 0, wrong = 0;
    start(top);
    const auto next = [&](Triple t) {
        top.i_w0 = t.w0 & 0xff;
        top.i_w1 = t.w1 & 0xff;
        top.i_a = t.a & 0xff;
        waiting.push_back(t);
        eval(top);
        if (waiting.size() > latency) {
            const Triple then = waiting.front();
            waiting.pop_front();
            checked++;
            const bool right = int16_t(top.o_p0) == then.w0 * then.a && int16_t(top.o_p1) == then.w1 * then.a;
            if (!right && !wrong++) std::printf("first %d %d %d\n", then.w0, then.w1, then.a);
        }
        commit(top);
    };
    for (int w1 = -127; w1 <= 127; w1++)
        for (int w0 = -127; w0 <= 127; w0++)
            for (int a = -128; a <= 127; a++) next({w0, w1, a});
    for (size_t i = 0; i < latency; i++) next({0, 0, 0});
    std::printf("checked %lu\nwrong %lu\n", checked, wrong);
}
