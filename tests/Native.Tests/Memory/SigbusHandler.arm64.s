// Runs the arm64 SIGBUS handler (handler.bin) under qemu-user, without a C library. Exit code 0 = all held, else the
// number of the step that failed. x19 = handler, x20 = table, x21 = memfd, x22 = its mapping.

.macro call number
    mov x8, #\number
    svc #0
.endm

.macro expect register, value, step
    mov x9, #\value
    mov w28, #\step
    cmp \register, x9
    b.ne fail
.endm

.text
.global _start
_start:
    mov x0, #0                      // mmap 64 KiB of code and a table behind it
    mov x1, #0x20000
    mov x2, #7
    mov x3, #0x22
    mov x4, #-1
    mov x5, #0
    call 222
    mov x19, x0
    add x20, x0, #0x10, lsl #12    // 0x10000

    adr x1, code                    // copy the handler
    adr x2, codeend
    mov x3, x19
copy:
    ldr w4, [x1], #4
    str w4, [x3], #4
    cmp x1, x2
    b.lo copy

    mov x0, #7                      // rt_sigaction(SIGBUS, {handler, SA_SIGINFO}, 0, 8)
    sub sp, sp, #32
    str x19, [sp]
    mov x2, #4
    str x2, [sp, #8]
    stp xzr, xzr, [sp, #16]
    mov x1, sp
    mov x2, #0
    mov x3, #8
    call 134
    expect x0, 0, 1

    adr x0, previous                // the handler before: only the last fault goes there
    str x0, [x20]

    adr x0, name                    // memfd_create, two pages, mapped shared
    mov x1, #0
    call 279
    mov x21, x0
    mov x1, #0x2000
    call 46
    mov x0, #0
    mov x1, #0x2000
    mov x2, #3
    mov x3, #1
    mov x4, x21
    mov x5, #0
    call 222
    mov x22, x0
    mov x1, #0x55
    str x1, [x22]
    mov x2, #0x1000
    str x1, [x22, x2]

    mov x0, #3                      // slot 0 is being changed, slot 1 is another mapping, slot 2 ours
    str x0, [x20, #8]
    mov x0, #1
    str x0, [x20, #64]
    str x22, [x20, #72]
    mov x0, #0x2000
    str x0, [x20, #80]
    mov x0, #0x1000
    str x0, [x20, #88]
    str x20, [x20, #136]
    str x0, [x20, #144]
    str x0, [x20, #152]
    str x22, [x20, #200]
    mov x0, #0x2000
    str x0, [x20, #208]
    mov x0, #0x1000
    str x0, [x20, #216]

    mov x0, x21                     // the front-end takes the second page away
    mov x1, #0x1000
    call 46
    expect x0, 0, 2

    mov x2, #0x1800                 // a touch in its middle finds zeros
    ldr x1, [x22, x2]
    expect x1, 0, 3
    mov x2, #0x1000
    ldr x1, [x22, x2]
    expect x1, 0, 4
    ldr x1, [x22]                   // the first page is as it was
    expect x1, 0x55, 5
    ldr x1, [x20, #16]              // one fault, in slot 2
    expect x1, 1, 6
    ldr x1, [x20, #96]
    expect x1, 0, 7
    ldr x1, [x20, #160]
    expect x1, 0, 8
    ldr x1, [x20, #224]
    expect x1, 1, 9

    str xzr, [x20, #8]              // no slot in use any more: the next one is not ours
    mov x0, x21
    mov x1, #0
    call 46
    ldr x1, [x22]
    mov w28, #10
fail:
    mov w0, w28
    call 93

previous:
    expect x0, 7, 11
    ldr w3, [x1, #8]
    expect x3, 2, 12
    ldr x3, [x1, #16]
    mov w28, #13
    cmp x3, x22
    b.ne fail
    mov w28, #14
    cbz x2, fail
    mov w0, #0
    call 93

name:
    .asciz "arm64"
    .balign 8
code:
    .incbin "handler.bin"
codeend:
