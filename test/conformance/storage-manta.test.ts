import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
    archiveKey,
    imageFolder,
    imageKey,
    type StagedObject,
    type StorageDriver,
} from '../../lib/storage/driver';
import type { MantaStorageOptions } from '../../lib/storage/manta';
import { md5 } from '../support/api';
import { CertificateAuthority } from '../support/certificates';
import { makeKey, type TestKey, type TestKeyType } from '../support/keys';
import { md5Fingerprint } from '../support/manta-accounts';
import { MANTA_USER, MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { recordingLog } from '../support/recording-log';
import { apiError, contentOf, describeStorage, inChunks, keysIn, put } from './storage';

/** Directories of images, which nothing is to be left of. */
const IMAGE = /\/images\/[^/]+\/[^/]+$/;

describeStorage('manta', async () => {
    const account = new MantaAccount();
    const manta = await account.serve();
    return {
        driver: account.storage(manta.url),
        twin: account.storage(`${manta.url.toUpperCase()}/`),
        stranger: account.storage(manta.url, { rootDir: '/imgapi/stor/other' }),
        leftovers: async () => [...manta.objects, ...manta.directories.filter((path) => IMAGE.test(path))],
        remove: async () => {
            await manta.stop();
            account.remove();
        },
    };
});

interface Record {
    level: number;
    msg: string;
    err?: { name: string; message: string };
}

describe('storage in Manta (manta.md §2 to §5)', () => {
    const image = 'abcdef00-1111-4222-8333-444444444444';
    const root = `/${MANTA_USER}/stor/imgapi`;
    const folder = `${root}/images/abc/${image}`;
    const newKey = (): string => imageKey(image, `file0-${randomUUID()}`);
    let account: MantaAccount;
    let manta: MantaServer;
    let records: Record[];
    let opened: StorageDriver[];

    before(() => (account = new MantaAccount()));
    after(() => account.remove());
    beforeEach(async () => {
        manta = await account.serve();
        records = [];
        opened = [];
    });
    afterEach(async () => {
        await Promise.all(opened.map((driver) => driver.close()));
        await manta.stop();
    });

    /** A driver whose first look at Manta is over. */
    async function open(options: Partial<MantaStorageOptions> = {}): Promise<StorageDriver> {
        const driver = account.storage(manta.url, options, recordingLog(records));
        opened.push(driver);
        await driver.open();
        await driver.check().catch(() => undefined);
        return driver;
    }

    const logged = (least: number): string[] =>
        records.filter(({ level }) => level >= least).map(({ msg }) => msg);

    describe('keys', () => {
        let place: string;
        before(() => (place = mkdtempSync(join(tmpdir(), 'imgapi-manta-keys-'))));
        after(() => rmSync(place, { recursive: true }));

        const types: [TestKeyType, string?][] = [['rsa'], ['ecdsa'], ['ecdsa', '384'], ['ed25519']];
        for (const [type, bits] of types) {
            it(`signs with ${type} ${bits ?? ''}`, async () => {
                const key = makeKey(place, `${type}${bits ?? ''}`, type, bits);
                manta.accounts.addKey(MANTA_USER, key.publicLine);
                const driver = await open({ key: key.privateKeyFile });
                const name = newKey();
                await put(driver, name, Buffer.from(type));
                assert.equal((await contentOf(driver, name)).toString(), type);
            });
        }

        it('names the key by what its file holds, and says so if that is another one than configured', async () => {
            const other: TestKey = makeKey(place, 'other');
            manta.accounts.addKey(MANTA_USER, other.publicLine);
            const options = { key: other.privateKeyFile };
            const sha256 = execFileSync('ssh-keygen', ['-l', '-f', other.privateKeyFile])
                .toString()
                .split(' ')[1]!;
            for (const keyId of [
                sha256,
                md5Fingerprint(other.publicLine),
                `MD5:${md5Fingerprint(other.publicLine)}`,
            ]) {
                await (await open({ ...options, keyId })).check();
            }
            assert.deepEqual(logged(40), []);
            for (const keyId of [md5Fingerprint(account.key.publicLine), 'no fingerprint']) {
                await (await open({ ...options, keyId })).check();
            }
            const warnings = logged(40);
            assert.equal(warnings.length, 2);
            warnings.forEach((warning) =>
                assert.ok(
                    warning.includes(`whose fingerprint is ${md5Fingerprint(other.publicLine)}`),
                    warning,
                ),
            );
        });

        it('does not open without a private key that it can use, and says which file', async () => {
            const files: [name: string, content: string | undefined, says: RegExp][] = [
                ['none', undefined, /cannot be read \(ENOENT\)/],
                ['text', 'not a key', /no SSH key/],
                ['public', account.key.publicLine, /names a public key/],
            ];
            for (const [name, content, says] of files) {
                const key = join(place, name);
                if (content !== undefined) {
                    writeFileSync(key, content);
                }
                const driver = account.storage(manta.url, { key });
                await assert.rejects(driver.open(), ({ message }: Error) => {
                    assert.ok(message.startsWith(`config.manta.key is "${key}"; it `), message);
                    assert.match(message, says);
                    return true;
                });
            }
            const secret = join(place, 'secret');
            execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'passphrase', '-f', secret]);
            await assert.rejects(
                account.storage(manta.url, { key: secret }).open(),
                /ssh-keygen -p -f .*secret/,
            );
        });
    });

    describe('requests', () => {
        it('makes what directories are missing before it sends a byte, and each but that of the image once', async () => {
            const driver = await open();
            manta.requests.length = 0;
            const first = newKey();
            const second = newKey();
            await put(driver, first, Buffer.from('1'));
            const made = [root, `${root}/images`, `${root}/images/abc`, folder].map(
                (path) => `PUT ${path} 204`,
            );
            // The look whether Manta is there, which opening begins, is answered at any time.
            const requests = manta.requests.filter((request) => !request.startsWith('HEAD '));
            assert.deepEqual(requests, [
                `PUT ${root}/${first} 404`,
                ...made,
                `PUT ${root}/${first} 204`,
                `PUT ${folder} 204`,
            ]);
            manta.requests.length = 0;
            await put(driver, second, Buffer.from('2'));
            assert.deepEqual(manta.requests, [`PUT ${root}/${second} 204`, `PUT ${folder} 204`]);
        });

        it('stores what is small, of known size and under a name without an id by one, at the commit', async () => {
            const driver = await open();
            await driver.check();
            const key = archiveKey(image);
            const stage = (text: string): Promise<StagedObject> =>
                driver.stage(key, inChunks(Buffer.from(text), 3), {
                    size: text.length,
                    contentMD5: md5(Buffer.from(text)),
                    contentType: 'application/json',
                });
            await (await stage('"first"')).commit();
            manta.requests.length = 0;
            await (await stage('"discarded"')).discard();
            const staged = await stage('"second"');
            assert.equal(staged.size, 8);
            const wrong = driver.stage(key, inChunks(Buffer.from('{}'), 1), { size: 3 });
            await assert.rejects(wrong, apiError('Download'));
            assert.deepEqual(manta.requests, []);
            manta.trouble = ({ method }, response) => {
                const refuses = method === 'PUT';
                if (refuses) {
                    response.writeHead(507, { connection: 'close' }).end();
                }
                return refuses;
            };
            await assert.rejects((await stage('"third"')).commit(), apiError('InsufficientStorage'));
            manta.trouble = undefined;
            assert.equal((await contentOf(driver, key)).toString(), '"first"');
            manta.requests.length = 0;
            const info = await staged.commit();
            assert.deepEqual(manta.requests, [`PUT ${root}/${key} 204`]);
            assert.deepEqual(await driver.stat(key), info);
            assert.deepEqual(await manta.object(`${root}/${key}`), {
                contentType: 'application/json',
                bytes: Buffer.from('"second"'),
            });
            await driver.delete(key);
        });

        it('makes all of them again after somebody has cleared them away', async () => {
            const driver = await open();
            const key = newKey();
            await put(driver, key, Buffer.from('x'));
            await driver.delete(key);
            const twin = await open();
            const other = imageKey(image, 'file0');
            await put(twin, other, Buffer.from('y'));
            await driver.delete(other);
            for (const path of manta.directories.reverse()) {
                manta.remove(path);
            }
            await put(driver, key, Buffer.from('z'));
            assert.deepEqual(await keysIn(driver, 'images/'), [key]);
        });

        it('keeps its connections', async () => {
            const driver = await open();
            const key = newKey();
            await put(driver, key, randomBytes(1_000_000));
            const { accepted } = manta;
            for (let round = 0; round < 5; round++) {
                await put(driver, newKey(), randomBytes(100));
                await contentOf(driver, key);
                await contentOf(driver, key, 5, 99);
                await driver.stat(key);
                await keysIn(driver, 'images/');
            }
            const empty = newKey();
            await put(driver, empty, Buffer.alloc(0));
            await contentOf(driver, empty);
            assert.equal(manta.accepted, accepted);
        });

        it('has no more connections than it may', async () => {
            const driver = await open({ maxSockets: 3 });
            const keys = Array.from({ length: 12 }, newKey);
            let most = 0;
            await Promise.all(
                keys.map(async (key) => {
                    await put(driver, key, randomBytes(300_000));
                    await contentOf(driver, key);
                    most = Math.max(most, manta.connections);
                }),
            );
            assert.ok(most >= 2 && most <= 3, String(most));
        });

        it('gives objects their type and takes the largest image in pieces', async () => {
            const driver = await open();
            const seen: unknown[] = [];
            manta.trouble = ({ method, headers }) => {
                if (method === 'PUT' && headers.expect !== undefined) {
                    seen.push([
                        headers['content-type'],
                        headers['max-content-length'],
                        headers['content-md5'],
                    ]);
                }
                return false;
            };
            const bytes = Buffer.from('{}');
            const options = { contentType: 'image/png', size: 2, contentMD5: md5(bytes) };
            await (await driver.stage(newKey(), inChunks(bytes, 1))).commit();
            await (await driver.stage(newKey(), inChunks(bytes, 1), options)).commit();
            const unknown = ['application/octet-stream', String(20 * 1024 ** 3), undefined];
            assert.deepEqual(seen.slice(-1), [['image/png', '2', md5(bytes)]]);
            assert.deepEqual(seen[0], unknown);
        });

        it('lists more than Manta gives at a time', async () => {
            const driver = await open();
            await put(driver, newKey(), Buffer.from('x'));
            const names = Array.from({ length: 2100 }, (_, n) => `icon-${String(n).padStart(4, '0')}`);
            names.forEach((name) => manta.plant(`${folder}/${name}`));
            manta.plant(`${folder}/not a key`);
            assert.equal((await keysIn(driver, imageFolder(image))).length, 2101);
            assert.deepEqual(await keysIn(driver, 'images/xyz/'), []);
            assert.deepEqual(await keysIn(driver, `${imageKey(image, 'icon-0000')}/`), []);
        });
    });

    it('keeps every object in a list while others empty its directory', async () => {
        const drivers = [await open(), await open(), await open()];
        const kept: string[] = [];
        await Promise.all(
            drivers.map(async (driver) => {
                for (let round = 0; round < 15; round++) {
                    const key = newKey();
                    await put(driver, key, Buffer.from('x'));
                    if (round % 5 === 4) {
                        kept.push(key);
                    } else {
                        await driver.delete(key);
                    }
                }
            }),
        );
        assert.deepEqual(await keysIn(drivers[0]!, 'images/'), kept.sort());
        for (const key of kept) {
            await drivers[0]!.delete(key);
        }
        assert.deepEqual(manta.directories, [root, `${root}/images`, `${root}/images/abc`]);
    });

    it('puts an object into a list although its directory is removed while it arrives', async () => {
        const driver = await open();
        const first = newKey();
        const second = newKey();
        await put(driver, first, Buffer.from('x'));
        async function* source(): AsyncGenerator<Buffer> {
            yield randomBytes(100_000);
            await driver.delete(first);
            assert.ok(!manta.directories.includes(folder));
            yield randomBytes(100_000);
        }
        await (await driver.stage(second, source())).commit();
        assert.deepEqual(await keysIn(driver, 'images/'), [second]);
    });

    describe('trouble', () => {
        it('opens without Manta, says so once, and goes on when it is there', async () => {
            await manta.suspend();
            const driver = await open();
            for (let round = 0; round < 2; round++) {
                await assert.rejects(driver.stat(newKey()), apiError('StorageIsDown'));
            }
            assert.deepEqual(logged(40), ['Manta: not usable; trying on']);
            await manta.resume();
            const key = newKey();
            await put(driver, key, Buffer.from('x'));
            assert.equal((await contentOf(driver, key)).toString(), 'x');
            assert.deepEqual(logged(30).slice(-1), ['Manta: usable again']);
        });

        const refusals: [string, () => Partial<MantaStorageOptions> | undefined, RegExp][] = [
            [
                'an unknown key',
                () => {
                    manta.accounts.removeKeys(MANTA_USER);
                    return undefined;
                },
                /add its public half to the account/,
            ],
            ['an unknown account', () => ({ user: 'nobody' }), /"manta.user"/],
            [
                'a clock that is off',
                () => {
                    manta.clockAhead = 600_000;
                    return undefined;
                },
                /the clock of this machine is (599|600) s behind that of Manta/,
            ],
        ];
        for (const [what, happens, says] of refusals) {
            it(`tells operators what to do about ${what}`, async () => {
                const driver = await open(happens() ?? {});
                await assert.rejects(
                    driver.stage(newKey(), inChunks(Buffer.from('x'), 1)),
                    apiError('InternalError'),
                );
                await assert.rejects(keysIn(driver, 'images/'), apiError('InternalError'));
                const errors = logged(50);
                assert.match(errors.at(-1)!, says);
                assert.equal(errors.length, new Set(errors).size);
            });
        }

        it('tells that Manta is full', async () => {
            const driver = await open();
            manta.limits.space = 1000;
            await assert.rejects(
                driver.stage(newKey(), inChunks(Buffer.from('x'), 1)),
                apiError('InsufficientStorage'),
            );
            assert.deepEqual(logged(40), []);
        });

        it('takes a certificate that it cannot verify only if told to', async () => {
            const place = mkdtempSync(join(tmpdir(), 'imgapi-manta-tls-'));
            const tls = new CertificateAuthority(place).selfSigned('manta', 'IP:127.0.0.1');
            const secure = await account.serve({ tls });
            try {
                const key = newKey();
                const strict = await open({ url: secure.url });
                await assert.rejects(strict.stat(key), apiError('StorageIsDown'));
                assert.match(logged(50)[0]!, /"manta\.insecure"/);
                const lax = await open({ url: secure.url, insecure: true });
                const bytes = randomBytes(3_000_000);
                await put(lax, key, bytes);
                await lax.copy(key, imageKey(image, 'file1'));
                assert.ok(bytes.equals(await contentOf(lax, imageKey(image, 'file1'))));
            } finally {
                await Promise.all(opened.map((driver) => driver.close()));
                await secure.stop();
                rmSync(place, { recursive: true });
            }
        });

        it('ends an upload at once when Manta ends it', async () => {
            const driver = await open();
            manta.limits.streaming = 100_000;
            async function* endless(): AsyncGenerator<Buffer> {
                for (;;) {
                    yield randomBytes(65_536);
                    await new Promise((resolve) => setImmediate(resolve));
                }
            }
            manta.trouble = (request) => {
                delete request.headers['max-content-length'];
                return false;
            };
            await assert.rejects(driver.stage(newKey(), endless()), apiError('StorageIsDown'));
            assert.deepEqual(manta.objects, []);
        });
    });
});
