# The source of orchestr/runtime/native.py's CODE, for x86_64: as walk.s -o walk.o && objcopy -O binary walk.o walk.bin
# It is called as long walk(control block *) and returns what clone3 returned to the parent: a pid or a negative error.
# rbp control block, rbx step, r12 end of the steps, r13 slots. A child pushes and pops nothing, for the stack is the
# parent's. A system call changes rax, rcx and r11 only.
.intel_syntax noprefix
    push rbx
    push rbp
    push r12
    push r13
    mov  rbp, rdi
    mov  rdi, [rbp]
    mov  esi, 88
    mov  eax, 435
    syscall                     # clone3: the first child goes on here
    test rax, rax
    jnz  parent
    mov  rbx, [rbp+16]
    mov  r12, [rbp+24]
    mov  r13, [rbp+48]
step:
    cmp  rbx, r12
    jae  last
    mov  rdi, [rbx+8]
    mov  rsi, [rbx+16]
    mov  rdx, [rbx+24]
    mov  r10, [rbx+32]
    mov  r8, [rbx+40]
    mov  r9, [rbx+48]
    mov  ecx, [rbx+56]          # which arguments are slots
    jecxz call
    test cl, 1
    jz   second
    mov  rdi, [r13+rdi*8]
second:
    test cl, 2
    jz   third
    mov  rsi, [r13+rsi*8]
third:
    test cl, 4
    jz   fourth
    mov  rdx, [r13+rdx*8]
fourth:
    test cl, 8
    jz   fifth
    mov  r10, [r13+r10*8]
fifth:
    test cl, 16
    jz   call
    mov  r8, [r13+r8*8]
call:
    mov  rax, [rbx]
    syscall
    cmp  rax, -4095             # unsigned: -4095 to -1 are errors
    jae  refused
    mov  rcx, [rbx+64]
    mov  [r13+rcx*8], rax
    add  rbx, [rbx+72]
    jmp  step
refused:
    cmp  rax, -13               # EACCES
    jne  tolerate
    mov  qword ptr [rbp+72], 1
tolerate:
    cmp  rax, [rbx+88]
    je   missing
    cmp  rax, [rbx+96]
    je   missing
    cmp  rax, [rbx+104]
    je   missing
fail:
    mov  [rbp+56], rbx
    mov  [rbp+64], rax
die:
    mov  edi, 125
exit:
    mov  eax, 231               # exit_group
    syscall
    ud2
missing:
    add  rbx, [rbx+80]
    jmp  step
last:                           # of the list: the sibling is made, once
    mov  rdi, [rbp+8]
    test rdi, rdi
    jz   die
    mov  qword ptr [rbp+8], 0
    mov  esi, 88
    mov  eax, 435
    syscall
    test rax, rax
    js   fail
    jz   sibling
    xor  edi, edi
    jmp  exit
sibling:
    mov  rbx, [rbp+32]
    mov  r12, [rbp+40]
    jmp  step
parent:
    pop  r13
    pop  r12
    pop  rbp
    pop  rbx
    ret
