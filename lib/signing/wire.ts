/** The encoding of SSH: numbers of four bytes, and strings after their length (RFC 4251 §5). */

/** The bytes end before what they announce. */
export class WireError extends Error {
    override readonly name = 'WireError';
}

export class WireReader {
    #at = 0;

    constructor(private readonly bytes: Buffer) {}

    get atEnd(): boolean {
        return this.#at === this.bytes.length;
    }

    take(length: number): Buffer {
        if (length > this.bytes.length - this.#at) {
            throw new WireError(`${length} bytes were announced, ${this.bytes.length - this.#at} are there`);
        }
        this.#at += length;
        return this.bytes.subarray(this.#at - length, this.#at);
    }

    byte(): number {
        return this.take(1).readUInt8();
    }

    uint32(): number {
        return this.take(4).readUInt32BE();
    }

    string(): Buffer {
        return this.take(this.uint32());
    }
}

export function uint32(value: number): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
}

export function string(bytes: Buffer): Buffer {
    return Buffer.concat([uint32(bytes.length), bytes]);
}
