import { topic, type Gathered } from './driver';

/** For how long each process has had nothing to do, in ms; 0 while it has. */
export const QUIET = topic<null, number>('quiet');

/** Most ms between two looks. */
const LONGEST_INTERVAL = 1000;

/**
 * Waits until all processes of a server have had nothing to do for some time (`serviceTimeout`). One that does not answer
 * is taken to be busy.
 *
 * @param timeout ms
 * @param ask for how long each process has been quiet
 * @param onIdle is called once
 */
export function whenIdle(
    timeout: number,
    ask: () => Promise<readonly Gathered<unknown>[]>,
    onIdle: () => void,
): void {
    const started = performance.now();
    const look = async () => {
        const quiet = (await ask()).map((one) => ('answer' in one ? Number(one.answer) : 0));
        if (Math.min(performance.now() - started, ...quiet) >= timeout) {
            onIdle();
        } else {
            lookLater();
        }
    };
    const lookLater = () => void setTimeout(() => void look(), Math.min(timeout / 4, LONGEST_INTERVAL));
    lookLater();
}
