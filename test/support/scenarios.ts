/** Tests that mostly wait, begun all at once: the time that they take together is that of the longest. */

type Body = () => Promise<void>;

/**
 * Has bodies begin together, once the hooks before them are done; each is a test of its own.
 *
 * @param define gets the function that takes the place of `it`
 */
export function together(define: (scenario: (name: string, body: Body) => void) => void): void {
    const bodies: Body[] = [];
    const running: Promise<unknown>[] = [];
    before(() => {
        for (const body of bodies) {
            running.push(
                body().then(
                    () => undefined,
                    (err: unknown) => ({ err }),
                ),
            );
        }
    });
    define((name, body) => {
        const index = bodies.push(body) - 1;
        it(name, async () => {
            const failed = (await running[index]) as { err: unknown } | undefined;
            if (failed) {
                throw failed.err;
            }
        });
    });
}
