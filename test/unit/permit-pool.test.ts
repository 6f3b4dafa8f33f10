/** The permits of `limits.requests`, given to several processes whose messages are on their way for a while. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { RequestGate } from '../../lib/http/request-gate';
import { PermitPool } from '../../lib/workers/permit-pool';
import type { PermitHolder } from '../../lib/workers/driver';
import { ApiError } from '../../lib/errors';

/** Delivers messages when the test says so: those of one process in order, those of several in any. */
class Wires {
    readonly #wires: (() => void)[][] = [];

    wire(): <Rest extends unknown[]>(deliver: (...rest: Rest) => void) => (...rest: Rest) => void {
        const queue: (() => void)[] = [];
        this.#wires.push(queue);
        return (deliver) =>
            (...rest) =>
                void queue.push(() => deliver(...rest));
    }

    /** Delivers one message; false if there is none. */
    step(random: () => number): boolean {
        const full = this.#wires.filter((queue) => queue.length > 0);
        full[Math.floor(random() * full.length)]?.shift()?.();
        return full.length > 0;
    }

    drain(): void {
        while (this.step(() => 0));
    }
}

function randomFrom(seed: number): () => number {
    let state = seed;
    return () => {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        return state / 0x80000000;
    };
}

/** A process with a gate of its own, and the requests that it has let in. */
class Process {
    readonly gate: RequestGate;
    readonly inside: EventEmitter[] = [];
    readonly waiting: EventEmitter[] = [];
    refused = 0;
    #holder: PermitHolder | undefined;

    constructor(
        private readonly pool: PermitPool,
        wires: Wires,
    ) {
        const [down, up] = [wires.wire(), wires.wire()];
        this.gate = new RequestGate((gate) => {
            const source = pool.attach(
                (this.#holder = {
                    grant: down((count) => gate.grant(count)),
                    refuse: down((id) => gate.refuse(id)),
                    tighten: down((on) => gate.tighten(on)),
                }),
            );
            return {
                want: up((id) => source.want(id)),
                cancel: up((id) => source.cancel(id)),
                giveBack: up((count, confirms) => source.giveBack(count, confirms)),
            };
        });
    }

    async request(): Promise<EventEmitter | undefined> {
        const answer = new EventEmitter();
        const turn = this.gate.enter(answer);
        if (turn) {
            this.waiting.push(answer);
            try {
                await turn;
            } catch (err) {
                this.refused += err instanceof ApiError ? 1 : 0;
                return undefined;
            } finally {
                this.waiting.splice(this.waiting.indexOf(answer), 1);
            }
        }
        this.inside.push(answer);
        return answer;
    }

    /** A request ends; or a client that was waiting goes. */
    end(requests: EventEmitter[], index = 0): void {
        const [answer] = requests === this.inside ? requests.splice(index, 1) : [requests[index]];
        answer?.emit('close');
    }

    die(): void {
        this.inside.length = 0;
        this.pool.detach(this.#holder!);
    }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('permits of requests', () => {
    function make(requests: number, queue: number, processes = 2) {
        const pool = new PermitPool({ requests, queue });
        const wires = new Wires();
        const all = Array.from({ length: processes }, () => new Process(pool, wires));
        const deliver = async () => {
            wires.drain();
            await settled();
        };
        return { pool, wires, all: all as [Process, Process, ...Process[]], deliver };
    }

    it('go to whoever came first, in whichever process', async () => {
        const { all, deliver } = make(1, 10);
        const [one, other] = all;
        const order: string[] = [];
        const enter = async (process: Process, name: string) => {
            void process.request().then(() => order.push(name));
            await deliver();
        };
        await enter(one, 'a');
        await enter(other, 'b');
        await enter(one, 'c');
        await enter(other, 'd');
        assert.deepEqual(order, ['a']);
        for (const process of [one, other, one]) {
            process.end(process.inside);
            await deliver();
        }
        assert.deepEqual(order, ['a', 'b', 'c', 'd']);
    });

    it('are called back from a process that has some left over, and only then is anybody refused', async () => {
        const { all, deliver } = make(8, 0);
        const [one, other] = all;
        await Promise.all([one.request(), deliver()]);
        one.end(one.inside);
        for (let count = 0; count < 9; count++) {
            void other.request();
            await deliver();
        }
        assert.equal(other.inside.length, 8);
        assert.equal(other.refused, 1);
    });

    it('are given up at once by a process that asks for the first time while they are short', async () => {
        const { pool, all, deliver } = make(1, 10, 1);
        const [one] = all;
        const told: boolean[] = [];
        let granted = 0;
        const starting = pool.attach({
            grant: (count) => (granted += count),
            refuse: () => assert.fail('there is room in the queue'),
            tighten: (on) => told.push(on),
        });
        for (let count = 0; count < 2; count++) {
            void one.request();
            await deliver();
        }
        assert.deepEqual(told, [], 'it may not have started yet');
        starting.want(1);
        assert.deepEqual(told, [true]);
        one.end(one.inside);
        one.end(one.inside);
        await deliver();
        one.end(one.inside);
        await deliver();
        assert.equal(granted, 1);
    });

    it('are not waited for without end where a process says nothing', async () => {
        const { pool, all, deliver } = make(2, 0, 1);
        const [one] = all;
        const nothing = () => undefined;
        pool.attach({ grant: nothing, refuse: nothing, tighten: nothing }).want(1);
        void one.request();
        await deliver();
        assert.equal(one.inside.length, 1);
        while (one.refused === 0) {
            void one.request();
            await deliver();
            await wait(20);
        }
        assert.equal(one.waiting.length, 0);
    });

    it('come back from a process that died, and its place in the queue is free', async () => {
        const { all, deliver } = make(2, 1);
        const [one, other] = all;
        for (let count = 0; count < 3; count++) {
            void one.request();
            await deliver();
        }
        void other.request();
        await deliver();
        assert.equal(other.refused, 1, 'the queue is full');
        one.die();
        void other.request();
        await deliver();
        assert.equal(other.inside.length, 1);
    });

    it('can become fewer and more while requests are under way', async () => {
        const { pool, all, deliver } = make(4, 10, 1);
        const [one] = all;
        for (let count = 0; count < 4; count++) {
            void one.request();
            await deliver();
        }
        pool.setLimits({ requests: 2, queue: 10 });
        void one.request();
        for (const left of [3, 2, 2]) {
            one.end(one.inside);
            await deliver();
            assert.equal(one.inside.length, left);
        }
        void one.request();
        pool.setLimits({ requests: 3, queue: 10 });
        await deliver();
        assert.equal(one.inside.length, 3);
    });

    it('are never more than there are, nor lost, whatever happens in whatever order', async () => {
        for (let seed = 1; seed <= 20; seed++) {
            const random = randomFrom(seed * 7919);
            const limit = 1 + Math.floor(random() * 6);
            const { pool, wires, all, deliver } = make(limit, Math.floor(random() * 5), 3);
            for (let step = 0; step < 600; step++) {
                const number = Math.floor(random() * all.length);
                const process = all[number]!;
                const chance = random();
                if (chance < 0.3) {
                    void process.request();
                } else if (chance < 0.5 && process.inside.length > 0) {
                    process.end(process.inside, Math.floor(random() * process.inside.length));
                } else if (chance < 0.54 && process.waiting.length > 0) {
                    process.end(process.waiting, Math.floor(random() * process.waiting.length));
                } else if (chance < 0.55) {
                    process.die();
                    all[number] = new Process(pool, wires);
                } else {
                    wires.step(random);
                }
                await settled();
                const inside = all.reduce((sum, one) => sum + one.inside.length, 0);
                assert.ok(inside <= limit, `seed ${seed}: ${inside} of ${limit}`);
            }
            // All of them end; then there are as many permits as in the beginning.
            for (
                let round = 0;
                round < 2000 && all.some((one) => one.inside.length + one.waiting.length > 0);
                round++
            ) {
                all.forEach((one) => one.end(one.inside));
                await deliver();
            }
            const last = all[0];
            for (let count = 0; count < limit; count++) {
                void last.request();
                await deliver();
            }
            assert.equal(last.inside.length, limit, `seed ${seed}`);
        }
    });
});
