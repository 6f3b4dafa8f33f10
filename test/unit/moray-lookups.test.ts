import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Lookups } from '../../lib/db/moray-lookups';

/** A table whose statements are answered when the test says so. */
class Table {
    readonly asked: { keys: readonly string[]; answer: () => void; fail: (error: Error) => void }[] = [];
    readonly lookups = new Lookups<string>(
        (keys) =>
            new Promise((resolve, reject) => {
                const answer = () =>
                    resolve(
                        new Map(
                            keys.filter((key) => key !== 'absent').map((key) => [key, `value of ${key}`]),
                        ),
                    );
                this.asked.push({ keys, answer, fail: reject });
            }),
    );
}

describe('lookups by key', () => {
    let table: Table;
    beforeEach(() => (table = new Table()));

    it('of one turn are one statement, in which each key stands once', async () => {
        const found = Promise.all(['a', 'b', 'a', 'absent'].map((key) => table.lookups.find(key)));
        await turn();
        assert.deepEqual(
            table.asked.map(({ keys }) => keys),
            [['a', 'b', 'absent']],
        );
        table.asked[0]?.answer();
        assert.deepEqual(await found, ['value of a', 'value of b', 'value of a', undefined]);
    });

    it('that come later are asked anew, and wait while two statements are under way', async () => {
        const first = table.lookups.find('a');
        await turn();
        const second = table.lookups.find('a');
        await turn();
        const others = Promise.all(['b', 'c'].map((key) => table.lookups.find(key)));
        await turn();
        assert.deepEqual(
            table.asked.map(({ keys }) => keys),
            [['a'], ['a']],
        );
        table.asked[1]?.answer();
        assert.equal(await second, 'value of a');
        await turn();
        assert.deepEqual(table.asked[2]?.keys, ['b', 'c']);
        table.asked[0]?.answer();
        table.asked[2].answer();
        assert.equal(await first, 'value of a');
        assert.deepEqual(await others, ['value of b', 'value of c']);
    });

    it('fail together, and go on after it', async () => {
        const found = Promise.allSettled(['a', 'b'].map((key) => table.lookups.find(key)));
        await turn();
        table.asked[0]?.fail(new Error('gone'));
        assert.deepEqual(
            (await found).map(({ status }) => status),
            ['rejected', 'rejected'],
        );
        const again = table.lookups.find('a');
        await turn();
        table.asked[1]?.answer();
        assert.equal(await again, 'value of a');
    });

    it('are at most a hundred in a statement', async () => {
        const found = Promise.all(Array.from({ length: 250 }, (_, n) => table.lookups.find(`key ${n}`)));
        for (let done = 0; done < 3; done++) {
            while (table.asked.length <= done) {
                await turn();
            }
            const { keys, answer } = table.asked[done]!;
            assert.ok(keys.length <= 100);
            answer();
        }
        assert.equal((await found)[249], 'value of key 249');
    });
});
