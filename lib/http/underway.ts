/** The requests that handlers work on, also after their connections are gone: they clean up then. */
export class Underway {
    #count = 0;
    #onNone: (() => void) | undefined;

    async run(work: Promise<void>): Promise<void> {
        this.#count++;
        try {
            await work;
        } finally {
            this.#count--;
            if (this.#count === 0) {
                this.#onNone?.();
            }
        }
    }

    /** Resolves when there are none, and at the latest after so many ms. */
    async none(within: number): Promise<void> {
        if (this.#count > 0) {
            await new Promise<void>((resolve) => {
                const timer = setTimeout(resolve, within);
                this.#onNone = () => {
                    clearTimeout(timer);
                    resolve();
                };
            });
        }
    }
}
