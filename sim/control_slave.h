// A sensor's side of SCCB or I2C, as sim.camera.ControlSlave, for compiled benches.

#pragma once

#include <cstdint>
#include <utility>
#include <vector>

// A line as an input with the filter of the I2C specification reads it: a level counts once it has stood for LENGTH
// steps.
struct Filter {
    static const int LENGTH = 4;
    bool level = true;
    int other = 0;

    bool step(bool pin) {
        other = pin == level ? 0 : other + 1;
        if (other == LENGTH) level = pin, other = 0;
        return level;
    }
};

struct ControlSlave {
    uint32_t device;
    int bytes;
    std::vector<std::pair<uint32_t, uint32_t>> written;
    uint64_t transfers = 0, deaf;

    // `deaf`: transfers at first that are not acknowledged, and not taken.
    ControlSlave(uint32_t device, bool wide, uint64_t deaf = 0) : device(device), bytes(3 + wide), deaf(deaf) {}

    // Called with the bus' levels at least as often as they may change; whether the slave pulls sda low now.
    bool step(bool scl, bool sda) {
        if (scl && was_scl && sda != was_sda) {
            if (sda && open) stop();
            open = !sda;
            count = 0;
            values = 0;
            pull = false;
        } else if (scl && !was_scl && open) {
            if (count % 9 != 8) values = values << 1 | sda;
            count++;
        } else if (!scl && was_scl && open) {
            pull = count % 9 == 8 && count <= 9 * bytes && acknowledges();
        }
        was_scl = scl;
        was_sda = sda;
        return pull;
    }

private:
    bool was_scl = true, was_sda = true, open = false, pull = false;
    bool addressed = false;
    int count = 0;
    uint64_t values = 0;

    bool acknowledges() {
        if (count == 8) {
            addressed = values == device << 1;
            transfers += addressed;
            addressed = addressed && transfers > deaf;
        }
        return addressed;
    }

    void stop() {
        // The rising clock before a stop adds a bit.
        if (addressed && (count == 9 * bytes || count == 9 * bytes + 1)) {
            const uint64_t whole = count == 9 * bytes ? values : values >> 1;
            written.emplace_back(whole >> 8 & (bytes == 4 ? 0xffff : 0xff), whole & 0xff);
        }
        addressed = false;
    }
};
