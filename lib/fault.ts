/**
 * Named places at which a test can make the process die, to prove that a crash there loses nothing.
 *
 * Nothing in the product arms one: `test/support/arm-fault.ts`, preloaded with `node -r`, does.
 */
let armed: string | undefined;

/** Makes the process end with SIGKILL when it next reaches the place. */
export function armFault(place: string): void {
    armed = place;
}

/** A step boundary of an operation, e.g. `upload:staged`. */
export function faultPoint(place: string): void {
    if (armed === place) {
        process.kill(process.pid, 'SIGKILL');
    }
}
