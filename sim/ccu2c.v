// Two bits of Lattice's carry chain (ECP5 family guide FPGA-DS-02012, slices in ripple mode) as far as
// rasca_hw/accumulator.py uses it: without injected carries. Any other parameter gives X.
module CCU2C (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    parameter [15:0] INIT0 = 0, INIT1 = 0;
    parameter INJECT1_0 = "YES", INJECT1_1 = "YES";

    // Not an index: where both halves of a table agree, an X that chooses between them does no harm.
    function table4(input [15:0] init, input d, c, b, a);
        reg [7:0] eight;
        reg [3:0] four;
        reg [1:0] two;
        begin
            eight = d ? init[15:8] : init[7:0];
            four = c ? eight[7:4] : eight[3:0];
            two = b ? four[3:2] : four[1:0];
            table4 = a ? two[1] : two[0];
        end
    endfunction

    wire propagate0 = table4(INIT0, D0, C0, B0, A0), propagate1 = table4(INIT1, D1, C1, B1, A1);
    wire generate0 = table4(INIT0, 1'b0, 1'b0, B0, A0), generate1 = table4(INIT1, 1'b0, 1'b0, B1, A1);
    wire carry = propagate0 ? CIN : generate0;
    wire usual = INJECT1_0 == "NO" && INJECT1_1 == "NO";
    assign S0 = usual ? propagate0 ^ CIN : 1'bx;
    assign S1 = usual ? propagate1 ^ carry : 1'bx;
    assign COUT = usual ? (propagate1 ? carry : generate1) : 1'bx;
endmodule
