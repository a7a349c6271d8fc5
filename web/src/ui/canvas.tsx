// A canvas that is painted from outside: sized to its box, sharp on any screen, still when it is
// out of sight.

import { useEffect, useRef } from 'preact/hooks';
import { onTheme } from '../theme/colours';

interface Props {
  height: number;
  label: string;
  /** Paints, and says whether it wants to be asked again at the next frame. */
  paint: (ctx: CanvasRenderingContext2D, width: number, height: number) => boolean;
  /** Painted anew when this changes. */
  mark?: unknown;
  onPoint?: (x: number, y: number) => void;
}

export function Canvas({ height, label, paint, mark, onPoint }: Props) {
  const ref = useRef<HTMLCanvasElement>(null);
  const latest = useRef(paint);
  latest.current = paint;
  const wake = useRef<() => void>(() => {});

  useEffect(() => {
    const canvas = ref.current!;
    const ctx = canvas.getContext('2d')!;
    let frame = 0;
    let visible = true;
    const draw = () => {
      frame = 0;
      const scale = Math.min(2, devicePixelRatio || 1);
      const { clientWidth: width, clientHeight: tall } = canvas;
      if (!width || !visible) return;
      const [w, h] = [Math.round(width * scale), Math.round(tall * scale)];
      if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
      ctx.setTransform(scale, 0, 0, scale, 0, 0);
      if (latest.current(ctx, width, tall)) ask();
    };
    const ask = () => {
      if (!frame) frame = requestAnimationFrame(draw);
    };
    wake.current = ask;
    const size = new ResizeObserver(ask);
    size.observe(canvas);
    const sight = new IntersectionObserver(([entry]) => {
      visible = entry?.isIntersecting ?? true;
      if (visible) ask();
    });
    sight.observe(canvas);
    const theme = onTheme(ask);
    ask();
    return () => {
      cancelAnimationFrame(frame);
      size.disconnect();
      sight.disconnect();
      theme();
    };
  }, []);
  useEffect(() => wake.current(), [mark, height]);

  const point = (event: MouseEvent) => {
    const box = ref.current!.getBoundingClientRect();
    onPoint?.(event.clientX - box.left, event.clientY - box.top);
  };
  return (
    <canvas ref={ref} class="picture" role="img" aria-label={label} style={{ height: `${height}px` }} onClick={point} />
  );
}
