/** The promises of lib/auth/key-source.ts, to be run on every place that keys come from. */
import assert from 'node:assert/strict';
import type Logger from 'bunyan';
import type { KeySource } from '../../lib/auth/key-source';
import { OpenKeys, fingerprint } from '../support/open-keys';
import { testKeys } from '../support/registry';

/** A place that keys come from, for one test: empty. */
export interface KeyPlace {
    /** A source on the place as it is now; not opened. Several may be in use at once. */
    source(log: Logger): KeySource;
    /** Puts what a user has in the place of what was there. */
    put(user: string, text: string | Buffer): Promise<void>;
    /** Takes a user away. */
    drop(user: string): Promise<void>;
    /** What a warning about a line of a user's keys says about where it is. */
    where(user: string, line: number): Record<string, unknown>;
    /** Ends what goes on in the place; sources are closed before. */
    remove(): Promise<void>;
}

/** What a place can do beyond the interface, as data. */
export interface KeyPlaceAbilities {
    /** When an open source sees a change: by itself, when it is loaded again, or never. */
    readonly changes: 'by itself' | 'on reload' | 'never';
    /** Keys are in texts of which a user's can be unreadable. */
    readonly texts: boolean;
}

/** Runs the suite on a kind of source. `makePlace` is called for every test. */
export function describeKeySource(
    name: string,
    abilities: KeyPlaceAbilities,
    makePlace: () => Promise<KeyPlace>,
): void {
    describe(`key source ${name}`, () => {
        const [one, two] = testKeys();
        const ONE = fingerprint(one.publicLine);
        const TWO = fingerprint(two.publicLine);
        let place: KeyPlace;
        let open: OpenKeys[];

        /** Opens a source and waits until it has all there is in the place. */
        async function start(): Promise<OpenKeys> {
            const opened = await OpenKeys.on((log) => place.source(log));
            open.push(opened);
            if (abilities.changes !== 'never') {
                await opened.source.reload();
            }
            return opened;
        }

        beforeEach(async () => {
            place = await makePlace();
            open = [];
        });
        afterEach(async () => {
            await Promise.all(open.map(({ source }) => source.close()));
            await place.remove();
        });

        it('has no keys where there are none', async () => {
            const { source, warnings } = await start();
            assert.equal(source.keys.size, 0);
            assert.deepEqual(warnings, []);
        });

        it('has a name for the log', async () => {
            assert.notEqual((await start()).source.name, '');
        });

        it('gives the keys of all users, those of a user in the order in which they stand', async () => {
            await place.put('alice', `${two.publicLine}\n${one.publicLine}\n`);
            await place.put('bob', one.publicLine);
            assert.deepEqual((await start()).users(), { alice: [TWO, ONE], bob: [ONE] });
        });

        it('gives keys twice that stand there twice', async () => {
            await place.put('alice', `${one.publicLine}\n${one.publicLine}`);
            assert.deepEqual((await start()).users(), { alice: [ONE, ONE] });
        });

        it('knows users by exactly their names, whatever these mean to JavaScript', async () => {
            const names = ['a.b', 'Alice', 'constructor', '__proto__', 'toString', 'x.keys'];
            for (const user of names) {
                await place.put(user, one.publicLine);
            }
            const { source } = await start();
            assert.deepEqual([...source.keys.keys()].sort(), [...names].sort());
            assert.equal(source.keys.get('alice'), undefined);
            assert.equal(source.keys.get('hasOwnProperty'), undefined);
        });

        it('skips lines that are no usable keys, with a warning that says where', async () => {
            const bad = [
                'no key',
                `from="10.0.0.1" ${one.publicLine}`,
                'ssh-rsa AAAA',
                one.publicLine.slice(0, 60),
            ];
            await place.put('bob', [...bad, one.publicLine].join('\n'));
            await place.put('alice', two.publicLine);
            const opened = await start();
            assert.deepEqual(opened.users(), { alice: [TWO], bob: [ONE] });
            assert.equal(opened.warnings.length, bad.length);
            for (const [index, { record }] of opened.warnings.entries()) {
                const where = place.where('bob', index + 1);
                assert.deepEqual({ ...record, ...where }, record);
            }
        });

        it('may be closed and gives no more changes then; what it has stays', async () => {
            await place.put('alice', one.publicLine);
            const opened = await start();
            await opened.source.close();
            await opened.source.close();
            const { changes } = opened;
            await place.put('alice', two.publicLine);
            // Another source sees the change meanwhile.
            assert.deepEqual((await start()).users(), { alice: [TWO] });
            assert.deepEqual(opened.users(), { alice: [ONE] });
            assert.equal(opened.changes, changes);
        });

        it('serves several at once', async () => {
            await place.put('alice', one.publicLine);
            const both = await Promise.all([start(), start()]);
            both.forEach((opened) => assert.deepEqual(opened.users(), { alice: [ONE] }));
        });

        if (abilities.changes === 'never') {
            it('stays as it is until the next start, also when it is loaded again', async () => {
                await place.put('alice', one.publicLine);
                const opened = await start();
                await place.put('alice', two.publicLine);
                await place.put('bob', one.publicLine);
                await opened.source.reload();
                assert.deepEqual(opened.users(), { alice: [ONE] });
                assert.equal(opened.changes, 0);
                assert.deepEqual((await start()).users(), { alice: [TWO], bob: [ONE] });
            });
            return;
        }

        describe('loaded again', () => {
            it('has users that are new, changed and gone', async () => {
                await place.put('alice', one.publicLine);
                await place.put('bob', one.publicLine);
                const opened = await start();
                const before = opened.source.keys;
                await place.put('alice', two.publicLine);
                await place.put('carol', one.publicLine);
                await place.drop('bob');
                await opened.source.reload();
                assert.deepEqual(opened.users(), { alice: [TWO], carol: [ONE] });
                assert.deepEqual([...before.keys()], ['alice', 'bob'], 'the former keys are not changed');
            });

            it('has no user left when all are gone', async () => {
                await place.put('alice', one.publicLine);
                const opened = await start();
                await place.drop('alice');
                await opened.source.reload();
                assert.deepEqual(opened.users(), {});
            });

            it('reports a change, and only a change', async () => {
                const opened = await start();
                await opened.source.reload();
                assert.equal(opened.changes, 0);
                await place.put('alice', one.publicLine);
                await opened.source.reload();
                assert.equal(opened.changes, 1);
                await opened.source.reload();
                assert.equal(opened.changes, 1);
            });

            it('does not repeat its warnings', async () => {
                await place.put('alice', `no key\n${one.publicLine}`);
                const opened = await start();
                await opened.source.reload();
                await opened.source.reload();
                assert.equal(opened.warnings.length, 1);
            });

            it('keeps no key that has been replaced by one that cannot be used', async () => {
                await place.put('alice', one.publicLine);
                const opened = await start();
                await place.put('alice', 'no key');
                await opened.source.reload();
                assert.deepEqual(opened.users().alice, []);
            });

            it('may be asked to by many at once', async () => {
                const opened = await start();
                await place.put('alice', one.publicLine);
                await Promise.all(Array.from({ length: 10 }, () => opened.source.reload()));
                assert.deepEqual(opened.users(), { alice: [ONE] });
                await opened.source.close();
            });
        });

        if (abilities.changes === 'by itself') {
            it('sees users that are new, changed and gone without being told', async () => {
                const opened = await start();
                await place.put('alice', one.publicLine);
                await opened.until(({ alice }) => alice?.join() === ONE);
                await place.put('alice', two.publicLine);
                await opened.until(({ alice }) => alice?.join() === TWO);
                await place.drop('alice');
                await opened.until(({ alice }) => alice === undefined);
            });
        }

        if (abilities.texts) {
            describe('texts', () => {
                it('may have comments, blank lines, blanks around keys, CRLF and a BOM', async () => {
                    await place.put(
                        'alice',
                        `\uFEFF${one.publicLine}\r\n\r\n# ${one.publicLine}\r\n  #\r\n\t${two.publicLine}  \r\n`,
                    );
                    await place.put('bob', '');
                    await place.put('carol', '# nothing\n\n');
                    const opened = await start();
                    assert.deepEqual(opened.users(), { alice: [ONE, TWO], bob: [], carol: [] });
                    assert.deepEqual(opened.warnings, []);
                });

                const large = `${one.publicLine}\n#${'x'.repeat(1024 * 1024)}\n`;
                const unreadable: [string, string | Buffer, number?][] = [
                    ['is not UTF-8', Buffer.from(`${two.publicLine}\n# caf\xe9\n`, 'latin1'), 2],
                    ['has a NUL', `${two.publicLine}\n\n# \0\n`, 3],
                    ['is UTF-16', Buffer.from(`\uFEFF${two.publicLine}`, 'utf16le'), 1],
                    ['is larger than 1 MiB', large],
                ];
                for (const [what, text, line] of unreadable) {
                    it(`keep the keys of a user whose new one ${what}, with a warning`, async () => {
                        await place.put('alice', one.publicLine);
                        await place.put('bob', one.publicLine);
                        const opened = await start();
                        await place.put('alice', text);
                        await place.put('bob', two.publicLine);
                        await opened.source.reload().catch(() => undefined);
                        assert.deepEqual(opened.users(), { alice: [ONE], bob: [TWO] });
                        const told = opened.warnings.map(({ text }) => text);
                        assert.equal(told.length, 1, told.join('\n'));
                        assert.match(told.join(), /alice\.keys/);
                        assert.match(
                            told.join(),
                            line === undefined ? /1048576/ : new RegExp(`line ${line}\\b`),
                        );
                        await opened.source.reload().catch(() => undefined);
                        assert.equal(opened.warnings.length, 1, 'the warning is not repeated');

                        await place.put('alice', `${one.publicLine}\n${two.publicLine}`);
                        await opened.source.reload();
                        assert.deepEqual(opened.users().alice, [ONE, TWO]);
                    });
                }

                it('that were never readable give no keys, and hinder no other', async () => {
                    await place.put('alice', Buffer.from([0xff, 0xfe, 0]));
                    await place.put('bob', one.publicLine);
                    const opened = await OpenKeys.on((log) => place.source(log));
                    open.push(opened);
                    await opened.source.reload().catch(() => undefined);
                    assert.deepEqual(opened.users().alice ?? [], []);
                    assert.deepEqual(opened.users().bob, [ONE]);
                });
            });
        }
    });
}
