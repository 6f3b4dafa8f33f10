/**
 * Reads HTTP/1.1 answers off a connection and counts the bytes of their bodies, without keeping them.
 *
 * For servers that are known: it takes answers with a Content-Length or in chunks, one at a time.
 */
export class ResponseReader {
    #state: 'head' | 'body' | 'chunk-size' | 'chunk' | 'chunk-end' = 'head';
    /** What has come of a line or head that is not complete. */
    #text = '';
    /** Bytes that are still to come of the body or chunk. */
    #left = 0;
    status = 0;
    bodyBytes = 0;

    /** Takes the next bytes. True if they end the answer. */
    take(bytes: Buffer): boolean {
        let at = 0;
        while (at < bytes.length) {
            if (this.#state === 'body' || this.#state === 'chunk') {
                const taken = Math.min(this.#left, bytes.length - at);
                at += taken;
                this.#left -= taken;
                this.bodyBytes += taken;
                if (this.#left > 0) {
                    return false;
                }
                if (this.#state === 'body') {
                    return this.#end();
                }
                this.#state = 'chunk-end';
                continue;
            }
            const end = bytes.indexOf('\n', at);
            const stop = end === -1 ? bytes.length : end + 1;
            this.#text += bytes.toString('latin1', at, stop);
            at = stop;
            if (end !== -1 && this.#line()) {
                return this.#end();
            }
        }
        return false;
    }

    /** Looks at a line that is complete. True if the answer ends with it. */
    #line(): boolean {
        if (this.#state === 'head') {
            return this.#text.endsWith('\r\n\r\n') && this.#head();
        }
        const line = this.#text.trimEnd();
        this.#text = '';
        if (this.#state === 'chunk-end') {
            this.#state = 'chunk-size';
            return false;
        }
        this.#left = Number.parseInt(line, 16);
        if (this.#left === 0) {
            // The empty line after the last chunk, as if it were a body of its own.
            this.bodyBytes -= 2;
            this.#left = 2;
            this.#state = 'body';
            return false;
        }
        this.#state = 'chunk';
        return false;
    }

    #head(): boolean {
        const head = this.#text;
        this.#text = '';
        this.status = Number(head.slice(9, 12));
        this.bodyBytes = 0;
        if (/^transfer-encoding: chunked\r$/im.test(head)) {
            this.#state = 'chunk-size';
            return false;
        }
        this.#left = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? 0);
        this.#state = 'body';
        return this.#left === 0;
    }

    #end(): true {
        this.#state = 'head';
        return true;
    }
}
