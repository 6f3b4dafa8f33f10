/** Compares a stored file with what its record says. */
import { createHash } from 'node:crypto';
import type { RawFile } from '../manifest';
import { DamagedObject, type ObjectReader, type StorageDriver } from '../storage/driver';
import { decompressorFor, DecompressionTest, type Decompressor } from './decompression';

export interface FileCheckOptions {
    /** Look at the size only. */
    readonly simple: boolean;
    /** Is told of bytes as they are read. */
    readonly onBytes: (bytes: number) => void;
    readonly signal: AbortSignal;
}

export interface FileCheck {
    /** What is wrong with the file, if anything is; completes "the file …". */
    readonly damage?: string;
    /** The program is not installed that would have tested whether the file can be decompressed. */
    readonly untested?: Decompressor;
}

function wrongSize(is: number, expected: number): string {
    return `has ${is} bytes; the manifest says ${expected}`;
}

/** @throws ApiError if the storage cannot be read; the reason of the signal */
export async function checkFile(
    storage: StorageDriver,
    key: string,
    file: Pick<RawFile, 'size' | 'sha1'>,
    { simple, onBytes, signal }: FileCheckOptions,
): Promise<FileCheck> {
    const info = await storage.stat(key);
    if (info === undefined) {
        return { damage: 'is missing' };
    }
    if (info.size !== file.size) {
        return { damage: wrongSize(info.size, file.size) };
    }
    if (simple) {
        return {};
    }
    const reader = await storage.read(key, { signal });
    return reader ? readThrough(reader, file, onBytes, signal) : { damage: 'is missing' };
}

async function readThrough(
    { body }: ObjectReader,
    { size, sha1 }: Pick<RawFile, 'size' | 'sha1'>,
    onBytes: (bytes: number) => void,
    signal: AbortSignal,
): Promise<FileCheck> {
    const hash = createHash('sha1');
    let received = 0;
    let test: DecompressionTest | undefined;
    let program: Decompressor | undefined;
    try {
        for await (const chunk of body) {
            if (received === 0) {
                program = decompressorFor(chunk);
                test = program && new DecompressionTest(program, signal);
            }
            hash.update(chunk);
            received += chunk.length;
            await test?.write(chunk);
            onBytes(chunk.length);
        }
        const digest = hash.digest('hex');
        if (received !== size) {
            return { damage: wrongSize(received, size) };
        }
        if (digest !== sha1) {
            return { damage: `has the SHA-1 ${digest}; the manifest says ${sha1}` };
        }
        const verdict = await test?.verdict();
        signal.throwIfAborted();
        if (verdict?.kind === 'damaged') {
            return { damage: `is as it was uploaded, but ${verdict.reason}` };
        }
        return verdict?.kind === 'missing' && program ? { untested: program } : {};
    } catch (error) {
        if (error instanceof DamagedObject) {
            return { damage: `is damaged: ${error.message.replace(/\.$/, '')}` };
        }
        throw error;
    } finally {
        await test?.stop();
    }
}
