import { createHash } from 'node:crypto';

/** Counts and hashes bytes as they pass by, once, whatever their number. */
export class Digest {
    readonly #sha1 = createHash('sha1');
    readonly #md5 = createHash('md5');
    #sums: { sha1: string; contentMD5: string } | undefined;
    /** Bytes seen so far. */
    size = 0;

    /** Passes the source on unchanged. Throws what `check` throws, which is asked about the size after every chunk. */
    async *through(
        source: AsyncIterable<Uint8Array>,
        check: (size: number) => void,
    ): AsyncGenerator<Uint8Array> {
        for await (const chunk of source) {
            this.size += chunk.length;
            check(this.size);
            this.#sha1.update(chunk);
            this.#md5.update(chunk);
            yield chunk;
        }
    }

    /** SHA-1 in lower-case hex and MD5 in base64 of all bytes; call it when they have passed. */
    sums(): { sha1: string; contentMD5: string } {
        this.#sums ??= { sha1: this.#sha1.digest('hex'), contentMD5: this.#md5.digest('base64') };
        return this.#sums;
    }
}
