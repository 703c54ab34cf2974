# picture - the demo's summary as bars: gnuplot -e "data='demo.dat'; picture='demo.svg'" picture.gp
# data: a line for each guest: name, then without and with qosd: CPUs, Mbit/s, MiB.
set terminal svg size 1080,400 font "sans-serif,13" background "white"
set output picture
set multiplot layout 1,3 title "What each guest gets from an overloaded host, without and with qosd" font ",17" \
	margins 0.05,0.985,0.2,0.76 spacing 0.055
set style data histogram
set style histogram clustered gap 1
set style fill solid 1.0 noborder
set boxwidth 0.92
set grid ytics lc rgb "#e0e0e0" lt 1
set border 1 lc rgb "#808080"
set tics nomirror scale 0

# Each plot shows columns w and w + 1 with the values above the bars; the middle one has the legend for all.
off = 0.17
max(a, b) = a > b ? a : b
do for [i = 1:3] {
	w = 2 * i
	set xrange [*:*]
	set yrange [*:*]
	stats data using (max(column(w), column(w + 1))) nooutput
	set xrange [-0.6:2.6]
	set yrange [0:STATS_max * 1.15]
	set title i == 1 ? "{/:Bold CPU storm}\nCPUs" : i == 2 ? "{/:Bold Network storm}\nMbit/s received" : \
		"{/:Bold Memory storm}\nMiB in RAM"
	set title offset 0,-0.6
	form = i == 1 ? "%.2f" : i == 2 ? "%.1f" : "%.0f"
	if (i == 2) { set key at screen 0.5, screen 0.02 center bottom horizontal samplen 1.5 width 4 Left reverse } else { unset key }
	plot data using w:xtic(1) title "without qosd" lc rgb "#b8b8b8", \
		'' using w + 1 title "with qosd" lc rgb "#2f6fb0", \
		'' using ($0 - off):w:(sprintf(form, column(w))) with labels offset 0,0.6 font ",11" \
			tc rgb "#606060" notitle, \
		'' using ($0 + off):w + 1:(sprintf(form, column(w + 1))) with labels offset 0,0.6 font ",11" \
			tc rgb "#2f6fb0" notitle
}
unset multiplot
