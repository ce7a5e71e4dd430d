# Processes that fork. Source it after support.tcl; tests that use it have -constraints fork.
#
#   load $forklib Fork                 in a program (`program::run`): it has then
#   fork                               -> 0 in the child, its pid in the parent
#   waitpid pid                        -> how the child has ended: its exit code, or 1000 + the number of the signal
#
# The library is made with the C compiler if there is one. Tcl's functions are found in the running process.

set forklib [file join [support::folder fork] fork.so]
set f [::open [file join [file dirname $forklib] fork.c] w]
puts $f {
    #include <unistd.h>
    #include <sys/wait.h>
    extern void *Tcl_CreateObjCommand(void *, const char *, int (*)(void *, void *, int, void **), void *, void *);
    extern void *Tcl_NewWideIntObj(long long);
    extern void Tcl_SetObjResult(void *, void *);
    extern int Tcl_GetIntFromObj(void *, void *, int *);
    static int do_fork(void *data, void *interp, int count, void **words) {
        Tcl_SetObjResult(interp, Tcl_NewWideIntObj(fork()));
        return 0;
    }
    static int do_wait(void *data, void *interp, int count, void **words) {
        int pid = 0, status = 0;
        Tcl_GetIntFromObj(interp, words[1], &pid);
        waitpid(pid, &status, 0);
        Tcl_SetObjResult(interp, Tcl_NewWideIntObj(WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status)));
        return 0;
    }
    int Fork_Init(void *interp) {
        Tcl_CreateObjCommand(interp, "fork", do_fork, 0, 0);
        Tcl_CreateObjCommand(interp, "waitpid", do_wait, 0, 0);
        return 0;
    }
}
close $f
testConstraint fork [expr {
    ![catch {exec cc -shared -fPIC -w -o $forklib [file rootname $forklib].c 2>@1}]
    && ![catch {exec [info nameofexecutable] << "load $forklib Fork; fork; exit"}]
}]
