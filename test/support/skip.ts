/** Skipping tests, never in silence. */

const reasons = new WeakMap<object, string>();

/**
 * Skips the running test, or from a `before` hook all tests of its suite. With `CI` set it fails instead: there,
 * everything a test needs has to be in place.
 *
 * @param context the `this` of the test or hook
 * @param reason what is missing, and how to get it; the reporter prints it
 */
export function skip(context: Mocha.Context, reason: string): never {
    if (process.env.CI) {
        throw new Error(`Nothing may be skipped where CI is set: ${reason}`);
    }
    const { test: runnable, currentTest } = context;
    for (const skipped of [currentTest, runnable, isHook(runnable) ? runnable.parent : undefined]) {
        if (skipped) {
            reasons.set(skipped, reason);
        }
    }
    return context.skip();
}

function isHook(runnable: Mocha.Runnable | undefined): runnable is Mocha.Hook {
    return runnable !== undefined && 'type' in runnable && runnable.type === 'hook';
}

/** Why a test, or a suite around it, was skipped; undefined if nobody said so. */
export function skipReason(test: Mocha.Test): string | undefined {
    const own = reasons.get(test);
    let suite = test.parent;
    let reason = own;
    while (reason === undefined && suite) {
        reason = reasons.get(suite);
        suite = suite.parent;
    }
    return reason;
}
