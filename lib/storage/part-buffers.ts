/** Memory for the parts of uploads to an object store, used again and again. */

/**
 * Buffers of the size of a part. Every upload may have one at any time, so that none waits for another, which may be
 * that of a slow client; those for sending ahead are shared by all.
 */
export class PartBuffers {
    readonly #idle: Buffer[] = [];
    readonly #most: number;
    #spare: number;

    /**
     * @param size of a part, in bytes
     * @param ahead bytes that all uploads together may have beyond one part each; at least one part
     */
    constructor(
        readonly size: number,
        ahead: number,
    ) {
        this.#most = this.#spare = Math.max(1, Math.floor(ahead / size));
    }

    /** Whether there is a buffer for sending ahead. */
    get hasSpare(): boolean {
        return this.#spare > 0;
    }

    /** @param ahead the upload has one already; only if {@link hasSpare} */
    take(ahead: boolean): Buffer {
        if (ahead) {
            this.#spare--;
        }
        return this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.size);
    }

    /** Gives a buffer back; nobody may look at it any more. @param ahead the upload has another one still */
    give(buffer: Buffer, ahead: boolean): void {
        this.drop(ahead);
        if (this.#idle.length < this.#most) {
            this.#idle.push(buffer);
        }
    }

    /** As {@link give}, for a buffer that somebody may still look at. */
    drop(ahead: boolean): void {
        if (ahead) {
            this.#spare++;
        }
    }
}
