import type { Socket } from 'node:net';
import type { WorkerHandle } from './worker-handle';

interface Connection {
    readonly socket: Socket;
    readonly secure: boolean;
}

/**
 * Hands connections to workers: to each in turn, but not to one that has not taken the last one yet. Where none is free
 * they wait in the order in which they came.
 */
export class Distribution {
    readonly #members = new Set<WorkerHandle>();
    readonly #free: WorkerHandle[] = [];
    readonly #waiting: Connection[] = [];

    /** A worker that takes connections from now on. */
    add(worker: WorkerHandle): void {
        this.#members.add(worker);
        this.#free.push(worker);
        this.#handOut();
    }

    /** It gets no more. What was handed to it is its own. */
    remove(worker: WorkerHandle): void {
        this.#members.delete(worker);
        const index = this.#free.indexOf(worker);
        if (index !== -1) {
            this.#free.splice(index, 1);
        }
    }

    /** It has taken the last one. */
    taken(worker: WorkerHandle): void {
        if (this.#members.has(worker)) {
            this.#free.push(worker);
            this.#handOut();
        }
    }

    give(socket: Socket, secure: boolean): void {
        this.#waiting.push({ socket, secure });
        this.#handOut();
    }

    #handOut(): void {
        for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
            const worker = this.#free.shift();
            if (!worker) {
                return;
            }
            if (worker.serve(next.socket, next.secure)) {
                this.#waiting.shift();
            }
        }
    }

    /** Gives up the connections that wait. */
    close(): void {
        this.#waiting.splice(0).forEach(({ socket }) => socket.destroy());
    }
}
