using System.Runtime.InteropServices;

namespace Ringmaster.Native.Memory;

/// <summary>
/// The signal handler of <see cref="SigbusGuard"/> as machine code, because no managed code may run where a touch of guest
/// memory failed. C prototype: <c>void handler(int sig, siginfo_t* info, void* context)</c>.
/// </summary>
/// <remarks>
/// Both listings do the same: walk the table at 64 KiB behind the handler (its layout is in <see cref="SigbusTable"/>),
/// and if a slot holds the faulting address, flag it and map a private page of zeros over the place, so that the
/// instruction that faulted succeeds when it runs again. For every other signal they jump to the handler that was there before.
/// They call nothing, allocate nothing and keep errno. Each line is its bytes and the instruction; a test assembles
/// the comments and compares. Behind a semicolon stands what it is for.
/// </remarks>
internal static class SigbusHandlerCode
{
    /// <summary>The handler for the running machine; empty where there is none.</summary>
    internal static ReadOnlySpan<byte> Native => RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => X64,
        Architecture.Arm64 => Arm64,
        _ => [],
    };

    /// <summary>x86-64, Intel syntax.</summary>
    internal static ReadOnlySpan<byte> X64 =>
    [
        0xf3, 0x0f, 0x1e, 0xfa,                           // endbr64
        0x8b, 0x46, 0x08,                                 // mov eax, [rsi + 8]                    ; si_code
        0x83, 0xf8, 0x02,                                 // cmp eax, 2                            ; BUS_ADRERR: page not in file
        0x74, 0x09,                                       // je ours
        0x83, 0xf8, 0x04,                                 // cmp eax, 4                            ; BUS_MCEERR_AR: bad memory
        0x0f, 0x85, 0x9f, 0x00, 0x00, 0x00,               // jne chain                             ; sent, unaligned: not ours
        // ours:
        0x48, 0x8b, 0x46, 0x10,                           // mov rax, [rsi + 16]                   ; si_addr
        0x4c, 0x8d, 0x05, 0xe0, 0xff, 0x00, 0x00,         // lea r8, [rip + table]
        0x4d, 0x8b, 0x48, 0x08,                           // mov r9, [r8 + 8]                      ; slots in use
        // next:
        0x49, 0x83, 0xe9, 0x01,                           // sub r9, 1
        0x0f, 0x82, 0x86, 0x00, 0x00, 0x00,               // jb chain                              ; no slot has the address
        0x49, 0x83, 0xc0, 0x40,                           // add r8, 64                            ; the header is as long
        0x4d, 0x8b, 0x10,                                 // mov r10, [r8]                         ; sequence number
        0x41, 0xf6, 0xc2, 0x01,                           // test r10b, 1
        0x75, 0xe9,                                       // jnz next                              ; odd: changing, not in use
        0x49, 0x89, 0xc3,                                 // mov r11, rax
        0x4d, 0x2b, 0x58, 0x08,                           // sub r11, [r8 + 8]                     ; start
        0x4d, 0x3b, 0x58, 0x10,                           // cmp r11, [r8 + 16]                    ; length
        0x73, 0xdc,                                       // jae next
        0x49, 0x8b, 0x48, 0x18,                           // mov rcx, [r8 + 24]                    ; page size
        0x4d, 0x3b, 0x10,                                 // cmp r10, [r8]
        0x75, 0xd3,                                       // jne next                              ; changed: we read a mixture
        0x49, 0xc7, 0x40, 0x20, 0x01, 0x00, 0x00, 0x00,   // mov qword ptr [r8 + 32], 1            ; it has faulted
        0xf0, 0x48, 0xff, 0x05, 0xaf, 0xff, 0x00, 0x00,   // lock inc qword ptr [rip + table + 16] ; count it
        0x56,                                             // push rsi
        0x52,                                             // push rdx
        0x41, 0x50,                                       // push r8
        0x48, 0x89, 0xc7,                                 // mov rdi, rax
        0x48, 0x89, 0xce,                                 // mov rsi, rcx
        0x48, 0xf7, 0xd9,                                 // neg rcx
        0x48, 0x21, 0xcf,                                 // and rdi, rcx                          ; mmap(the page's start,
        0xba, 0x03, 0x00, 0x00, 0x00,                     // mov edx, 3                            ; its size, read | write,
        0x41, 0xba, 0x32, 0x40, 0x00, 0x00,               // mov r10d, 0x4032                      ; private, fixed, anonymous,
        0x49, 0x83, 0xc8, 0xff,                           // or r8, -1                             ; no reserve, no fd,
        0x45, 0x31, 0xc9,                                 // xor r9d, r9d                          ; offset 0)
        0xb8, 0x09, 0x00, 0x00, 0x00,                     // mov eax, 9
        0x0f, 0x05,                                       // syscall
        0x48, 0x39, 0xf8,                                 // cmp rax, rdi
        0x74, 0x33,                                       // je done
        0x4c, 0x8b, 0x04, 0x24,                           // mov r8, [rsp]                         ; no room to split: the whole
        0x49, 0x8b, 0x78, 0x08,                           // mov rdi, [r8 + 8]
        0x49, 0x8b, 0x70, 0x10,                           // mov rsi, [r8 + 16]
        0x49, 0x83, 0xc8, 0xff,                           // or r8, -1
        0xb8, 0x09, 0x00, 0x00, 0x00,                     // mov eax, 9
        0x0f, 0x05,                                       // syscall
        0x48, 0x39, 0xf8,                                 // cmp rax, rdi
        0x74, 0x17,                                       // je done
        0x41, 0x58,                                       // pop r8
        0x5a,                                             // pop rdx
        0x5e,                                             // pop rsi
        0xbf, 0x07, 0x00, 0x00, 0x00,                     // mov edi, 7                            ; SIGBUS
        // chain:
        0x48, 0x8b, 0x05, 0x45, 0xff, 0x00, 0x00,         // mov rax, [rip + table]                ; the handler before ours
        0x48, 0x85, 0xc0,                                 // test rax, rax
        0x74, 0x07,                                       // jz default
        0xff, 0xe0,                                       // jmp rax                               ; with all its arguments
        // done:
        0x48, 0x83, 0xc4, 0x18,                           // add rsp, 24
        0xc3,                                             // ret
        // default:
        0xb8, 0x0d, 0x00, 0x00, 0x00,                     // mov eax, 13                           ; rt_sigaction(
        0xbf, 0x07, 0x00, 0x00, 0x00,                     // mov edi, 7                            ; SIGBUS,
        0x48, 0x8d, 0x35, 0x48, 0xff, 0x00, 0x00,         // lea rsi, [rip + table + 32]           ; SIG_DFL,
        0x31, 0xd2,                                       // xor edx, edx
        0x41, 0xba, 0x08, 0x00, 0x00, 0x00,               // mov r10d, 8                           ; sizeof sigset_t)
        0x0f, 0x05,                                       // syscall
        0xc3,                                             // ret                                   ; the fault returns and kills
    ];

    /// <summary>arm64 (ARMv8.0; <c>bti</c> is a no-op there).</summary>
    internal static ReadOnlySpan<byte> Arm64 =>
    [
        0x5f, 0x24, 0x03, 0xd5,  // bti c
        0x23, 0x08, 0x40, 0xb9,  // ldr w3, [x1, #8]           ; si_code
        0x7f, 0x08, 0x00, 0x71,  // cmp w3, #2                 ; BUS_ADRERR: the file has no such page
        0x64, 0x18, 0x44, 0x7a,  // ccmp w3, #4, #4, ne        ; or BUS_MCEERR_AR: the hardware lost the page
        0xe1, 0x05, 0x00, 0x54,  // b.ne chain                 ; sent by kill, unaligned: not ours
        0x24, 0x08, 0x40, 0xf9,  // ldr x4, [x1, #16]          ; si_addr
        0x45, 0xff, 0x07, 0x10,  // adr x5, table
        0xa6, 0x04, 0x40, 0xf9,  // ldr x6, [x5, #8]           ; slots in use
        // next:
        0xc6, 0x04, 0x00, 0xf1,  // subs x6, x6, #1
        0x43, 0x05, 0x00, 0x54,  // b.lo chain                 ; no slot holds the address
        0xa5, 0x00, 0x01, 0x91,  // add x5, x5, #64            ; the header is as long as a slot
        0xa7, 0xfc, 0xdf, 0xc8,  // ldar x7, [x5]              ; the slot's sequence number, before what it guards
        0x87, 0xff, 0x07, 0x37,  // tbnz w7, #0, next          ; odd: being changed, so it is not the slot of memory in use
        0xa9, 0xa8, 0x40, 0xa9,  // ldp x9, x10, [x5, #8]      ; start, length
        0x8b, 0x00, 0x09, 0xcb,  // sub x11, x4, x9
        0x7f, 0x01, 0x0a, 0xeb,  // cmp x11, x10
        0x02, 0xff, 0xff, 0x54,  // b.hs next
        0xac, 0x0c, 0x40, 0xf9,  // ldr x12, [x5, #24]         ; page size
        0xbf, 0x39, 0x03, 0xd5,  // dmb ishld                  ; the slot's words, before its sequence number again
        0xad, 0x00, 0x40, 0xf9,  // ldr x13, [x5]
        0xff, 0x00, 0x0d, 0xeb,  // cmp x7, x13
        0x61, 0xfe, 0xff, 0x54,  // b.ne next                  ; changed meanwhile: what was read is a mixture
        0x2d, 0x00, 0x80, 0xd2,  // mov x13, #1
        0xad, 0x10, 0x00, 0xf9,  // str x13, [x5, #32]         ; this region has faulted
        0x8e, 0xfd, 0x07, 0x10,  // adr x14, table + 16
        // count:
        0xcf, 0xfd, 0x5f, 0xc8,  // ldaxr x15, [x14]           ; and so has one more
        0xef, 0x05, 0x00, 0x91,  // add x15, x15, #1
        0xcf, 0xfd, 0x10, 0xc8,  // stlxr w16, x15, [x14]
        0xb0, 0xff, 0xff, 0x35,  // cbnz w16, count
        0xed, 0x03, 0x01, 0xaa,  // mov x13, x1
        0xee, 0x03, 0x02, 0xaa,  // mov x14, x2
        0xef, 0x03, 0x0c, 0xcb,  // neg x15, x12
        0x8f, 0x00, 0x0f, 0x8a,  // and x15, x4, x15
        0xe0, 0x03, 0x0f, 0xaa,  // mov x0, x15                ; mmap(the page's start,
        0xe1, 0x03, 0x0c, 0xaa,  // mov x1, x12                ; its size,
        0x62, 0x00, 0x80, 0xd2,  // mov x2, #3                 ; PROT_READ | PROT_WRITE,
        0x43, 0x06, 0x88, 0xd2,  // mov x3, #0x4032            ; MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE,
        0x04, 0x00, 0x80, 0x92,  // mov x4, #-1                ; no fd,
        0x05, 0x00, 0x80, 0xd2,  // mov x5, #0                 ; offset 0)
        0xc8, 0x1b, 0x80, 0xd2,  // mov x8, #222
        0x01, 0x00, 0x00, 0xd4,  // svc #0
        0x1f, 0x00, 0x0f, 0xeb,  // cmp x0, x15
        0xa0, 0x01, 0x00, 0x54,  // b.eq done
        0xe0, 0x03, 0x09, 0xaa,  // mov x0, x9                 ; no room to split the mapping: replace the whole of it
        0xe1, 0x03, 0x0a, 0xaa,  // mov x1, x10
        0x01, 0x00, 0x00, 0xd4,  // svc #0
        0x1f, 0x00, 0x09, 0xeb,  // cmp x0, x9
        0x00, 0x01, 0x00, 0x54,  // b.eq done
        0xe1, 0x03, 0x0d, 0xaa,  // mov x1, x13
        0xe2, 0x03, 0x0e, 0xaa,  // mov x2, x14
        0xe0, 0x00, 0x80, 0x52,  // mov w0, #7                 ; SIGBUS
        // chain:
        0xb0, 0xf9, 0x07, 0x10,  // adr x16, table
        0x10, 0x02, 0x40, 0xf9,  // ldr x16, [x16]             ; the handler before ours
        0x70, 0x00, 0x00, 0xb4,  // cbz x16, default
        0x00, 0x02, 0x1f, 0xd6,  // br x16                     ; with sig, info and context as they came
        // done:
        0xc0, 0x03, 0x5f, 0xd6,  // ret
        // default:
        0xe0, 0x00, 0x80, 0x52,  // mov w0, #7                 ; rt_sigaction(SIGBUS,
        0xe1, 0xf9, 0x07, 0x10,  // adr x1, table + 32         ; SIG_DFL,
        0x02, 0x00, 0x80, 0xd2,  // mov x2, #0
        0x03, 0x01, 0x80, 0xd2,  // mov x3, #8                 ; sizeof sigset_t)
        0xc8, 0x10, 0x80, 0xd2,  // mov x8, #134
        0x01, 0x00, 0x00, 0xd4,  // svc #0
        0xc0, 0x03, 0x5f, 0xd6,  // ret                        ; the fault comes again and ends the process
    ];
}
